/* Prints staffetta.conf(5); run by the build. */
#include "config/config.h"

#include <stdio.h>

int main(void)
{
    struct buf out;
    bool written;

    buf_init(&out, 1 << 20);
    config_write_manual(&out);
    written = !out.failed && fwrite(out.p, 1, out.n, stdout) == out.n;
    buf_clear(&out);
    return !written;
}
