# Each mutant is the store with one promise broken, linked with the objects of tests_crash: the power-cut test
# must find it. Patched copies of the source, never an option of the product.
include(${CMAKE_CURRENT_LIST_DIR}/read_mutant.cmake)
file(GLOB mutants CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/mutants/*.mutant)
foreach(mutant ${mutants})
    get_filename_component(title ${mutant} NAME_WE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${mutant})
    read_mutant(${mutant})
    set(patched ${CMAKE_CURRENT_BINARY_DIR}/mutants/${title}.cpp)
    add_custom_command(OUTPUT ${patched}
        COMMAND ${CMAKE_COMMAND} -DMUTANT=${mutant} -DROOT=${PROJECT_SOURCE_DIR} -DOUT=${patched}
                -P ${CMAKE_CURRENT_LIST_DIR}/mutate.cmake
        DEPENDS ${mutant} ${PROJECT_SOURCE_DIR}/${mutant_source} ${CMAKE_CURRENT_LIST_DIR}/mutate.cmake
        VERBATIM)
    # The library's own copy of the patched file is not pulled in: all that it defines is there already.
    add_executable(mutant_${title} ${patched} $<TARGET_OBJECTS:tests_crash>)
    target_link_libraries(mutant_${title} PRIVATE touchpoint_store $<TARGET_FILE:tests_support> GTest::gtest GTest::gmock GTest::gtest_main)
    add_dependencies(mutant_${title} tests_support)
    set_target_properties(mutant_${title} PROPERTIES ENABLE_EXPORTS ON)
    add_test(NAME mutant.${title}
             COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:mutant_${title}> -DWORD=${mutant_caught_by}
                     -P ${CMAKE_CURRENT_LIST_DIR}/expect_caught.cmake)
    set_tests_properties(mutant.${title} PROPERTIES LABELS slow TIMEOUT 600)
endforeach()
