// EXPECT_ERROR(statement, kind, parts...): the statement throws an Error of this kind whose text
// contains every part.
#pragma once

#include <gmock/gmock.h>

#include <initializer_list>
#include <string>

#include "base/error.h"

#define EXPECT_ERROR(statement, error_kind, ...)                                      \
  do {                                                                                \
    bool thrown = false;                                                              \
    try {                                                                             \
      statement;                                                                      \
    } catch (const ::borealis::Error& error) {                                        \
      thrown = true;                                                                  \
      EXPECT_EQ(error.kind(), error_kind) << error.what();                            \
      for (const std::string& part : std::initializer_list<std::string>{__VA_ARGS__}) \
        EXPECT_THAT(error.what(), ::testing::HasSubstr(part));                        \
    }                                                                                 \
    EXPECT_TRUE(thrown) << #statement " threw no Error";                              \
  } while (false)
