"""One module for each file in workflows/: TITLE, its docstring as the description, and `build`, which describes the graph."""
# In this order the frontend lists them.
ORDER = ("a_first_head", "first_portrait", "portrait_app", "portrait_from_photo", "pose_by_hand", "pose_from_photo",
         "relight", "expression_sheet", "turntable", "drive_from_video", "two_people", "img2img_face", "inpaint_face",
         "detail_face", "style_mixing", "contact_sheet_of_styles", "head_control_enhancement", "hires_second_pass",
         "identity_library_1_save", "identity_library_2_use", "portrait_as_in_the_paper")
