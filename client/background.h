// What a run that is exec'd leaves behind for the next: a daemon and an image, started by a process that is
// not a child of this one, so that the program never sees it.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Fails with Reason::setup where a file is missing without which no interpreter becomes an image.
Result<void> check_installation();

// What this process does next comes first, for a while: starting an image beside it would cost it more than a
// tenth of its time on a small machine.
enum class HeadStart { none, program };

// Starts, in the background, the interpreter as the image that the daemon ORDERs; it talks over CHANNEL.
void start_image_in_background(const proto::ImageKey& key, const proto::StartImage& order, UniqueFd channel,
                               HeadStart head_start = HeadStart::program);

// Starts a daemon in the background, asks it for an image for REQUEST, and becomes that image.
void start_all_in_background(const proto::RunRequest& request);

}  // namespace kiln
