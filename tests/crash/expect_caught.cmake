# cmake -DPROGRAM=FILE -DWORD=TEXT -P expect_caught.cmake
# Passes when the power-cut test of a mutant fails, and for the right reason.
unset(ENV{GTEST_OUTPUT})  # a mutant that is caught is no failed test of ours
set(of That)
if(WORD MATCHES "^profile")
    set(of OfProfiles)
endif()
execute_process(COMMAND ${PROGRAM} --gtest_filter=PowerCut.TakesNothing${of}*
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
string(FIND "${output}" "broken promise: ${WORD}" found)
if(result EQUAL 0)
    message(FATAL_ERROR "the mutant lives: its power-cut test passed\n${output}")
elseif(found EQUAL -1)
    message(FATAL_ERROR "the mutant was not caught by \"${WORD}\"\n${output}")
endif()
message(STATUS "caught by ${WORD}")
