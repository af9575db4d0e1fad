"""Before or after contrast agent, from the words of a series description, in the languages of many sites.

Whole words are compared, after splitting `postGd` and `T1+C`. Sources: DICOM PS3.3 C.7.6.4 (contrast/bolus module) for
the tags; the words are those of radiology departments (ours).
"""

from __future__ import annotations

import re
import unicodedata

# English, German, French, Italian, Spanish, Portuguese, Dutch, Nordic, Polish and Czech; accents are taken off first.
AGENT = re.compile(
    r"gd|gad|gado\w*|gd ?dtpa|gdc|dtpa|dotarem|clariscan|magnevist|prohance|multihance|omniscan|vueway|elucirem|"
    r"mdc|mdca|mc|km|kmg|ce|cm|"
    r"civ|pdc|contrast\w*|kontrast\w*|kontra\w*|dota\w*|cte|iniettat\w*|bolus|inj\w*|iniezione|agent|kntr|kontr|contr"
)
AFTER = re.compile(
    r"post\w*|after|nach|dopo|apres|despues|tras|depois|apos|na|efter|etter|po|following|delayed|spat|tardiv\w*|"
    r"enh|enhanced|ce|gd|gad|gado\w*|km|mdc|plusc|jalkeen|sonrasi"
)
ONLY_WITH_AGENT = re.compile(r"na|po|following|delayed|spat|tardiv\w*|w|with|con|avec|mit|com|met|med|s|z|iv")
BEFORE = re.compile(
    r"pre\w*|prae\w*|before|vor|avant|prima|antes|ante|voor|blanco|fore|for|przed|pred|ohne|without|wo|w o|no|non|"
    r"non?ce|nc|noncon\w*|"
    r"nongd|sans|senza|sin|sem|zonder|uten|utan|uden|bez|native?|nativ\w*|basal\w*|baseline|plain|unenh\w*|noenh|"
    r"minusc|simple|s c|ennen|oncesi"
)
NOT_BEFORE = re.compile(r"pre(p|pared|paration|sat\w*|scan|cession|view|set|cise|process\w*|central\w*|frontal\w*)")
NOT_AFTER = re.compile(r"post(erior\w*|proc\w*|op\w*|ictal|traum\w*)")
OTHER_SCRIPTS_AFTER = re.compile(
    "\u9020\u5f71|\u589e\u5f3a|\u589e\u5f37|\uc870\uc601|\u043f\u043e\u0441\u043b\u0435|"
    "\u0441 \u043a\u043e\u043d\u0442\u0440|\u043c\u0435\u0442\u03ac|\u03bc\u03b5\u03c4\u03b1"
)
OTHER_SCRIPTS_BEFORE = re.compile(
    "\u5e73\u626b|\u5e73\u6383|\u5358\u7d14|\u9020\u5f71\u524d|\u0434\u043e \u043a\u043e\u043d\u0442\u0440|"
    "\u0431\u0435\u0437 \u043a\u043e\u043d\u0442\u0440|\u03c0\u03c1\u03b9\u03bd|\uc870\uc601\uc804"
)
# Words glued to each other, as in `T1postGd`, `nachKM` or `t1ce`.
GLUED = re.compile(
    r"(post|pre|nach|vor|ohne|dopo|senza|apres|avant|sans|with|without|non|no)(?=(gd|gad|gado|km|mdc|ce|con|"
    r"contrast|kontrast|inj|civ)\w*\b)"
)
AFTER_T1 = re.compile(r"\b(t1w?|mprage|vibe|bravo|fspgr|spgr|tfe|space|se|tse|fse) ?(c|k|gd|gad|km|ce|mdc)\b")
# Words unrelated to an agent: sequences, planes, conventions of vendors and sites.
NEUTRAL = re.compile(
    r"t1w?|t1|t2|w|wi|weighted|\d+d?|\d+mm|ax\w*|tra\w*|sag\w*|cor\w*|obl\w*|iso\w*|mp|mpr\w*|rage|mprage|bravo|"
    r"f?spgr|vibe|se|tse|"
    r"fse|gre|ge|gr|tfe|ffe|tfl|space|cube|vista|flash|mdeft|ir|fs|fatsat|fat|sat|spir|stir|nd|norm\w*|dis\w*|p|i|"
    r"pat|grappa|"
    r"sense|asset|arc|cs|caipi|head|brain|cran\w*|encef\w*|enceph\w*|kopf|hirn|schadel|neuro|cerebr\w*|tete|testa|"
    r"cabeza|"
    r"hoofd|cerveau|cervello|ms|sep|em|thin|slice|vol\w*|rec\w*|ref\w*|repeat|rpt|new|neu|mm|ns|sl|mt|off|on|te|tr|"
    r"plane|whole|hr|hires|high|res|fast|3t|15t|routine|hd|propeller|blade|radial|star|motion|flair|dark|fluid|wm|gm"
)


NO_ACCENT = str.maketrans({"\u00f8": "o", "\u0142": "l", "\u00e6": "ae", "\u0131": "i", "\u0111": "d"})


def _words_of(text: str) -> list[str]:
    """Split a description into lower-case words without accents; `+C` and `-C` become `plusc` and `minusc`."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z][A-Z])(?=[a-z]{3})", " ", plain).casefold()
    plain = plain.translate(NO_ACCENT)
    plain = re.sub(r"\bm\. ?d\. ?c\b", "mdc", plain)
    plain = re.sub(r"\b(non?|not|un)[ -]?(enh|inj|contr|kontr|gad|gd)\w*", " noncontrast ", plain)
    plain = re.sub(r"\b[ck]ontrast?(siz|frei|los|free)\b", " noncontrast ", plain)
    plain = re.sub(r"\+ ?/ ?-|\+ ?-|\u00b1", " with without ", plain)
    plain = re.sub(
        r"\b(s|c) ?/ ?(?:[cg]\b|(?=contr|cte|gad|gd))",
        lambda match: " minusc " if match[1] == "s" else " plusc ",
        plain,
    )
    plain = re.sub(r"\bw ?/ ?(and )?w ?/? ?o\b|\bw ?/ ?wo\b", " with without ", plain)
    plain = re.sub(r"\bw ?/ ?o\b", " without ", plain)
    plain = re.sub(r"\bw ?/ ?", " with ", plain)
    plain = re.sub(r"\+ ?(c|k|km|gd|gad|contrast|mdc|ce)\b|\bc ?\+", " plusc ", plain)
    plain = re.sub(r"(?<=[\s_])- ?(c|km|gd|mdc)\b|\bc ?-(?=\s|$)", " minusc ", plain)
    plain = re.sub(r"[\W_]+", " ", plain)
    plain = re.sub(r"\b(t[12]w?)(?=[a-z]{2,})(?!i\b)", r"\1 ", plain)
    plain = AFTER_T1.sub(lambda match: f"{match[1]} plusc", plain)
    return GLUED.sub(r"\1 ", plain).split()


def says(text: str) -> str:
    """Determine from a description whether a series was acquired before or after contrast agent.

    Args:
        text: description, protocol or sequence name, in any of the supported languages.

    Returns:
        `after`, `before`, `both`, or an empty string if the description does not mention contrast agent.
    """
    words = _words_of(text)
    agent = any(AGENT.fullmatch(word) for word in words)
    joined = " ".join(words)
    before = any(
        BEFORE.fullmatch(word) and not NOT_BEFORE.fullmatch(word) for word in words
    ) or OTHER_SCRIPTS_BEFORE.search(text.casefold())
    after = any(_after(word, following, agent) for word, following in zip(words, [*words[1:], ""]))
    named = agent and any(ONLY_WITH_AGENT.fullmatch(word) for word in words)
    other = OTHER_SCRIPTS_AFTER.search(text.casefold()) and not before
    if before:
        stated = {word for word in words if AFTER.fullmatch(word) and not AGENT.fullmatch(word)}
        stated = {word for word in stated if not NOT_AFTER.fullmatch(word)} - {"na", "po"}
        return "both" if stated or "with" in words or _two_ways(joined) else "before"
    return "after" if after or named or other or agent else ""


def _after(word: str, following: str, agent: bool) -> bool:
    if not AFTER.fullmatch(word) or NOT_AFTER.fullmatch(word) or following.startswith(("foss", "proc")):
        return False
    return agent or not ONLY_WITH_AGENT.fullmatch(word)


def _two_ways(joined: str) -> bool:
    """`senza e con`, `mit und ohne`, `sans et avec`, `sin y con`, `w wo`."""
    return bool(
        re.search(r"\b(w|with|con|mit|avec|com|met|med) (and |und |et |e |y |en |og |och |i )?\w+\b", joined)
    ) and bool(re.search(r"\b(and|und|et|e|y|en|og|och|w wo|w without)\b", joined))


def unknown_words(text: str) -> set[str]:
    """List the words of a description that name neither an agent nor a property of a sequence.

    Such words may have any meaning, contrast agent included.

    Args:
        text: description, protocol or sequence name.
    """
    return {
        word
        for word in _words_of(text)
        if len(word) > 1 and not (NEUTRAL.fullmatch(word) or AGENT.fullmatch(word) or re.search(r"\d", word))
    }
