/* A library that gives up calls abort(): the C library when its heap is not what it should be, libsodium without
 * randomness, libevent when an assertion fails. From this call on the process says so in the log before it dies, behind
 * what it had not written yet. Also readies libsodium, which chooses its fastest code for this processor then. */
#pragma once

void last_words_begin(void);
