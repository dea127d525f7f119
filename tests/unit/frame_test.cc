#include "common/frame.h"

#include <gtest/gtest.h>

#include "common/fields.h"

namespace kiln {
namespace {

TEST(Frame, HeaderSurvivesTheRoundTrip) {
  const auto bytes = encode_frame(FrameType::launch, "abc");
  const auto header = decode_frame_header(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, FrameType::launch);
  EXPECT_EQ(header->length, 3U);
  EXPECT_EQ(bytes.substr(kFrameHeaderSize), "abc");
}

TEST(Frame, RefusesWhatNoPeerOfOursSends) {
  EXPECT_FALSE(decode_frame_header("\x01\x00\x00"));
  EXPECT_FALSE(decode_frame_header(std::string_view("\x01\x00\x00\x00\x63", 5)));
  EXPECT_FALSE(decode_frame_header(std::string_view("\xff\xff\xff\xff\x01", 5)));
}

TEST(Fields, AreReadInTheOrderOfWriting) {
  FieldWriter writer;
  writer.number(7);
  writer.bytes("a\0b");
  writer.list({"x", "", "z"});
  const std::string bytes = writer.take();
  FieldReader reader(bytes);
  EXPECT_EQ(reader.number(), 7U);
  EXPECT_EQ(reader.bytes(), "a");
  EXPECT_EQ(reader.list(), (std::vector<std::string>{"x", "", "z"}));
  EXPECT_TRUE(reader.done());
}

TEST(Fields, NeverReadPastTheEnd) {
  FieldWriter writer;
  writer.number(std::uint64_t{1} << 60);
  const std::string bytes = writer.take();
  FieldReader as_bytes(bytes);
  EXPECT_EQ(as_bytes.bytes(), "");
  EXPECT_FALSE(as_bytes.ok());
  FieldReader as_list(bytes);
  EXPECT_TRUE(as_list.list().empty());
  EXPECT_FALSE(as_list.ok());
}

}  // namespace
}  // namespace kiln
