# cmake -DMUTANT=FILE -DROOT=FOLDER -DOUT=FILE -P mutate.cmake
# Writes the source that a mutant names, with its one change. The text must stand in the source exactly once:
# else the build fails, so that a mutant stays alive when the code moves.
include(${CMAKE_CURRENT_LIST_DIR}/read_mutant.cmake)
read_mutant(${MUTANT})
file(READ ${ROOT}/${mutant_source} text)
string(FIND "${text}" "${mutant_old}" first)
string(FIND "${text}" "${mutant_old}" last REVERSE)
if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${MUTANT}: what it replaces must stand exactly once in ${mutant_source}. "
                        "The code has moved: give the mutant its new text.")
endif()
string(REPLACE "${mutant_old}" "${mutant_new}" text "${text}")
file(WRITE ${OUT} "${text}")
