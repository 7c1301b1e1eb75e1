#include "header_bits.h"

void header_bits_scan(struct header_bits *s, struct str piece)
{
    for (size_t i = 0; i < piece.n && !s->ended; i++) {
        unsigned char c = (unsigned char)piece.p[i];

        if (c == '\n') {
            s->ended = !s->line_used;
            s->line_used = false;
        } else if (c != '\r') {
            s->line_used = true;
            s->has_8bit |= c > 127;
        }
    }
}
