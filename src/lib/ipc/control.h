/* The control socket between the supervisor and a role: one message a packet (SOCK_SEQPACKET), with
 * at most one descriptor beside it. */
#pragma once
#include "base/buf.h"

enum { CONTROL_FD = 3, CONTROL_PACKET_MAX = 256 * 1024 };

/* Sends one encoded frame (with its length in front) and, when pass >= 0, a descriptor. */
MUST_CHECK bool control_send(int fd, struct str frame, int pass, struct err *err);
/* Receives one frame into packet (reset first). *passed is the descriptor or -1. *more is false at the
 * end of the stream or when nothing waits on a non-blocking socket (*ended tells which). */
MUST_CHECK bool control_receive(int fd, struct buf *packet, int *passed, bool *ended, struct err *err);
