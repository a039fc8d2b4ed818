# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
# Runs the sample pages in a headless browser and reads what their scripts did from the resulting document.
# cmake -DSAMPLE_PAGES=program -DCHROMIUM=program -DFOLDER=scratch -P browser.cmake
file(MAKE_DIRECTORY ${FOLDER}/sample)
execute_process(COMMAND ${SAMPLE_PAGES} ${FOLDER}/sample COMMAND_ERROR_IS_FATAL ANY)

# The document of a page after its scripts ran.
function(dump page width out)
  execute_process(
    COMMAND ${CHROMIUM} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --force-prefers-reduced-motion
      --user-data-dir=${FOLDER}/profile --window-size=${width},900 --virtual-time-budget=3000 --dump-dom file://${FOLDER}/sample/${page}
    OUTPUT_VARIABLE document ERROR_VARIABLE messages RESULT_VARIABLE status TIMEOUT 100)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${page}: the browser failed (${status}): ${messages}")
  endif()
  set(${out} "${document}" PARENT_SCOPE)
endfunction()

function(expect page document pattern)
  if(NOT document MATCHES "${pattern}")
    string(REGEX MATCH "<body[^>]*>" body "${document}")
    message(SEND_ERROR "${page}: no match of '${pattern}'; ${body}")
  endif()
endfunction()
function(refuse page document pattern)
  if(document MATCHES "${pattern}")
    message(SEND_ERROR "${page}: '${CMAKE_MATCH_0}' was not to be there")
  endif()
endfunction()

file(READ ${FOLDER}/sample/score.html page)
file(READ ${CMAKE_CURRENT_LIST_DIR}/driver.js driver)
string(REPLACE "</body>" "<script>${driver}</script></body>" page "${page}")
file(WRITE ${FOLDER}/sample/driven.html "${page}")
dump(driven.html 1280 document)
refuse(driven.html "${document}" "<p id=.script-error[^<]*<")
expect(driven.html "${document}" "data-slider=\"24\"")
expect(driven.html "${document}" "data-charts=\"11\"")
expect(driven.html "${document}" "data-failed=\"nothing\"")

# Windows have a least width, frames have none: the page in a frame of 390 pixels tells what it saw.
file(WRITE ${FOLDER}/sample/narrow.html "<body><script>addEventListener('message', e => {
  document.body.dataset.failed = e.data.failed;
  document.body.dataset.width = e.data.width;
});</script><iframe src=\"driven.html\" style=\"border:0;width:390px;height:900px\"></iframe></body>")
dump(narrow.html 1280 document)
expect(narrow.html "${document}" "data-failed=\"nothing\"")
expect(narrow.html "${document}" "data-width=\"390\"")

# Graphs: a small one, wide and narrow, and one of 1000 nodes, which is drawn at once.
file(READ ${CMAKE_CURRENT_LIST_DIR}/graph_driver.js driver)
function(drive_graph name blocks)
  file(READ ${FOLDER}/sample/${name}.html page)
  string(REPLACE "<body " "<body data-blocks=\"${blocks}\" " page "${page}")
  string(REPLACE "</body>" "<script>${driver}</script></body>" page "${page}")
  file(WRITE ${FOLDER}/sample/driven_${name}.html "${page}")
  dump(driven_${name}.html 1280 document)
  refuse(driven_${name}.html "${document}" "<p id=.script-error[^<]*<")
  expect(driven_${name}.html "${document}" "data-failed=\"nothing\"")
endfunction()
drive_graph(graph 12)
drive_graph(large_graph 200)
file(READ ${FOLDER}/sample/narrow.html page)
string(REPLACE "driven.html" "driven_graph.html" page "${page}")
file(WRITE ${FOLDER}/sample/narrow_graph.html "${page}")
dump(narrow_graph.html 1280 document)
expect(narrow_graph.html "${document}" "data-failed=\"nothing\"")
expect(narrow_graph.html "${document}" "data-width=\"390\"")

dump(training.html 1280 document)
refuse(training.html "${document}" "<p id=.script-error[^<]*<")
expect(training.html "${document}" "data-refresh=\"5\"")
expect(training.html "${document}" "id=\"age\">written [0-9]+ s ago<")
expect(training.html "${document}" "data-charts=\"4\"")
dump(finished.html 390 document)
refuse(finished.html "${document}" "<p id=.script-error[^<]*<")
expect(finished.html "${document}" "data-refresh=\"0\"")
expect(finished.html "${document}" "id=\"age\"></span>")
