/**
 * The head editor of CapHumanEditHead: registers the extension and ties one HeadEditor to each node.
 *
 * All state is in the node's ordinary widgets. Elements that tests and other code may rely on carry data-testid:
 *   caphuman-editor             the whole editor; data-node-id, data-head ("new" or "fitted"), data-model
 *   caphuman-view               the canvas of the 3-D view; data-drawn counts its drawings
 *   caphuman-keys               the invisible input that holds the keyboard focus of the view (clicking the view focuses it)
 *   caphuman-notice             one line over the view (a vanished head model, repaired values); hidden when empty
 *   caphuman-undo -redo -mirror -reset -copy -paste -inputs       tool buttons (inputs: shows the node's own widgets)
 *   caphuman-look-shaded -look-normal -look-photo                 what the view shows; aria-pressed
 *   caphuman-tab-pose -tab-expression -tab-light -tab-presets     tabs; aria-selected
 *   caphuman-slider-NAME        <input type=range> of the widget NAME (scale: its base-2 logarithm)
 *   caphuman-number-NAME        <input type=text> of the same value, in the widget's own units; Enter or leaving it applies
 *   caphuman-row-NAME           the row of both; data-linked="true" when the input is linked
 *   caphuman-mode-add -mode-set                                   mode; aria-pressed
 *   caphuman-check-turn_light -check-relight                      checkboxes
 *   caphuman-ball               the light ball (canvas)
 *   caphuman-light_colour       <input type=color>
 *   caphuman-preset-ID          ID: frontal three_quarter_left three_quarter_right profile_left profile_right looking_up looking_down
 *   caphuman-preset-save -preset-export -preset-import -preset-file   user presets (preset-file: the hidden <input type=file>)
 *   caphuman-user-preset        one row per user preset, data-name; inside: caphuman-preset-apply -preset-rename -preset-delete
 *   caphuman-preset-name        the text field while a preset is being saved or renamed; Enter keeps, Escape gives up
 */
