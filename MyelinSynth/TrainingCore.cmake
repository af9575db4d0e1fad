# The researcher's room, installed beside the module: its commands run as child processes of Slicer.
set(TRAINING_CORE_SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}/../TrainingCore")
set(TRAINING_CORE_BUILD_DIR "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/TrainingCore")
set(TRAINING_CORE_INSTALL_DIR "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/TrainingCore")

set(TRAINING_CORE_SCRIPTS
  __init__.py
  ablate.py
  bundle.py
  case.py
  cli.py
  cohort.py
  cohort_bids.py
  cohort_table.py
  crossvalidate.py
  demo.py
  describe.py
  errors.py
  evaluate.py
  evaluation/__init__.py
  evaluation/asymptotes.py
  evaluation/calibration.py
  evaluation/cases.py
  evaluation/demyelination.py
  evaluation/demyelination_figures.py
  evaluation/enhancement.py
  evaluation/figures.py
  evaluation/image_quality.py
  evaluation/lesions.py
  evaluation/measures.py
  evaluation/models.py
  evaluation/pages.py
  evaluation/report.py
  evaluation/segmentation.py
  evaluation/segmentation_figures.py
  evaluation/slice_figures.py
  evaluation/statistics.py
  evaluation/summary.py
  evaluation/tasks.py
  evaluation/translation_figures.py
  export.py
  files.py
  imaging/__init__.py
  imaging/alignment.py
  imaging/bias.py
  imaging/brain_mask.py
  imaging/checks.py
  imaging/contrasts.py
  imaging/dicom.py
  imaging/dicom_choice.py
  imaging/dicom_headers.py
  imaging/grid.py
  imaging/intensities.py
  imaging/label_maps.py
  imaging/mutual_information.py
  imaging/partial_volumes.py
  imaging/patient_preparation.py
  imaging/preparation.py
  imaging/readers.py
  imaging/regions.py
  imaging/registration.py
  imaging/tissues.py
  imaging/transforms.py
  imaging/volumes.py
  list_dicom.py
  learning_curve.py
  networks/__init__.py
  networks/fast_convolution.py
  networks/grid_discriminator.py
  networks/group_norm.py
  networks/inference.py
  networks/padding.py
  networks/patch_discriminator.py
  networks/patchgan2d.py
  networks/resnet2d.py
  networks/two_layer.py
  networks/unet2d.py
  networks/unet3d.py
  networks/vnet.py
  phantom/__init__.py
  phantom/acquisition.py
  phantom/anatomy.py
  phantom/bids.py
  phantom/compare_lesions.py
  phantom/dataset.py
  phantom/gadolinium.py
  phantom/lesions.py
  phantom/make_atlas.py
  phantom/microstructure.py
  phantom/mri.py
  phantom/noise_ceiling.py
  phantom/patient.py
  phantom/people.py
  phantom/pet.py
  phantom/protocols.py
  phantom/randomness.py
  phantom/show_contrasts.py
  phantom/sidecars.py
  phantom/signals.py
  phantom/template.py
  phantom/tissues.py
  phantom/tumours.py
  phantom/vascular.py
  preprocess.py
  preprocessing/__init__.py
  preprocessing/dataset.py
  preprocessing/measures.py
  preprocessing/names.py
  preprocessing/page.py
  preprocessing/patient.py
  preprocessing/pictures.py
  preprocessing/records.py
  preprocessing/schedulers.py
  preprocessing/worker.py
  protocols/__init__.py
  protocols/ablation.py
  protocols/crossvalidation.py
  protocols/folds.py
  protocols/jobs.py
  protocols/learning_curves.py
  protocols/one_job.py
  protocols/pages.py
  protocols/plan_file.py
  protocols/search.py
  protocols/search_pages.py
  protocols/space.py
  recipe.py
  result.py
  rules/__init__.py
  rules/common.py
  rules/contrast_enhancement.py
  rules/curricular.py
  rules/joint_flair_wmh.py
  rules/mask_weighted_pix2pix.py
  rules/sketcher_refiner.py
  run.py
  simulate.py
  synthesis/__init__.py
  synthesis/completion.py
  synthesis/inference.py
  synthesis/leftovers.py
  synthesis/outputs.py
  synthesis/patient.py
  synthesis/prediction.py
  synthesis/report.py
  synthesis/steps.py
  synthesis/translation.py
  synthesis/uncertainty.py
  synthesize.py
  systems/__init__.py
  systems/balance.py
  systems/conditional_gan.py
  systems/contrast_enhancement.py
  systems/curricular.py
  systems/ensemble.py
  systems/joint_flair_wmh.py
  systems/learner.py
  systems/linear.py
  systems/mask_weighted_pix2pix.py
  systems/moment.py
  systems/parts.py
  systems/sketcher_refiner.py
  systems/system.py
  systems/two_layer_dnn.py
  train.py
  training/__init__.py
  training/augmentation.py
  training/export.py
  training/loop.py
  training/patches.py
  training/pictures.py
  training/processes.py
  training/samples.py
  training/schedules.py
  training/session.py
  training/slices.py
  training/state.py
  training/store.py
  tune.py
  visit.py
  )

set(TRAINING_CORE_RESOURCES
  evaluation/report.html.jinja
  imaging/atlas/regions.nii.gz
  imaging/atlas/t1w.nii.gz
  preprocessing/page.html.jinja
  recipes/anticurricular.yaml
  recipes/contrast_enhancement.yaml
  recipes/contrast_enhancement_improved.yaml
  recipes/contrast_enhancement_l1_only.yaml
  recipes/contrast_enhancement_linear.yaml
  recipes/curricular.yaml
  recipes/debug.yaml
  recipes/demonstration.yaml
  recipes/joint_flair_wmh.yaml
  recipes/joint_flair_wmh_linear.yaml
  recipes/joint_flair_wmh_offline.yaml
  recipes/joint_flair_wmh_unimodal.yaml
  recipes/l1_only.yaml
  recipes/linear.yaml
  recipes/mask_weighted_pix2pix.yaml
  recipes/mask_weighted_pix2pix_l1_only.yaml
  recipes/mask_weighted_pix2pix_linear.yaml
  recipes/mask_weighted_pix2pix_t1.yaml
  recipes/mask_weighted_pix2pix_t1_l1_only.yaml
  recipes/mask_weighted_pix2pix_t1_linear.yaml
  recipes/mask_weighted_pix2pix_t1_without_mask.yaml
  recipes/mask_weighted_pix2pix_without_mask.yaml
  recipes/sketcher_only.yaml
  recipes/sketcher_refiner.yaml
  recipes/sketcher_refiner_l1_only.yaml
  recipes/sketcher_refiner_linear.yaml
  recipes/spaces/contrast_enhancement.yaml
  recipes/spaces/curricular.yaml
  recipes/spaces/joint_flair_wmh.yaml
  recipes/spaces/mask_weighted_pix2pix.yaml
  recipes/spaces/sketcher_refiner.yaml
  recipes/two_layer_dnn.yaml
  )

# Below the repository's root; TrainingCore looks for its models in Resources/models beside its files.
set(TRAINING_CORE_MODELS
  Resources/models/demonstration/README.md
  Resources/models/demonstration/bundle.json
  Resources/models/demonstration/weights.safetensors
  )

ctkMacroCompilePythonScript(
  TARGET_NAME TrainingCore
  SCRIPTS "${TRAINING_CORE_SCRIPTS}"
  SOURCE_DIR "${TRAINING_CORE_SOURCE_DIR}"
  DESTINATION_DIR "${TRAINING_CORE_BUILD_DIR}"
  INSTALL_DIR "${TRAINING_CORE_INSTALL_DIR}"
  NO_INSTALL_SUBDIR
  )

# Copied into the build tree too, so that the module runs from there.
function(install_training_core_files root)
  foreach(file IN LISTS ARGN)
    get_filename_component(folder "${file}" DIRECTORY)
    configure_file("${root}/${file}" "${TRAINING_CORE_BUILD_DIR}/${file}" COPYONLY)
    install(FILES "${root}/${file}" DESTINATION "${TRAINING_CORE_INSTALL_DIR}/${folder}" COMPONENT RuntimeLibraries)
  endforeach()
endfunction()

install_training_core_files("${TRAINING_CORE_SOURCE_DIR}" ${TRAINING_CORE_RESOURCES})
install_training_core_files("${CMAKE_CURRENT_SOURCE_DIR}/.." ${TRAINING_CORE_MODELS})
