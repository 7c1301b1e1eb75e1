#include "store_world.h"
int main(void)
{
    fault_install();
    return 0;
}
