/* The one program a person types: `staffetta serve` and the commands of cli/. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
