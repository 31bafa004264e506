/* The C client of `bench.modbus`: libmodbus, block by block.
 *
 * modbus_client PORT BLOCKS CORE SCANS    prints the median seconds of one scan of BLOCKS blocks of 125 registers
 */
#define _GNU_SOURCE
#include <errno.h>
#include <modbus/modbus.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT 125

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static int compare(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

int main(int words, char **word) {
    if (words != 5) return 2;
    int blocks = atoi(word[2]), scans = atoi(word[4]);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(atoi(word[3]), &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0) return 3;
    modbus_t *client = modbus_new_tcp("127.0.0.1", atoi(word[1]));
    if (modbus_connect(client) != 0) return 4;
    uint16_t *registers = malloc(blocks * COUNT * sizeof *registers);
    double *times = malloc(scans * sizeof *times);
    for (int scan = -1; scan < scans; scan++) { /* the first one warms up */
        double start = now();
        for (int block = 0; block < blocks; block++) {
            if (modbus_read_registers(client, block * COUNT, COUNT, registers + block * COUNT) != COUNT) {
                fprintf(stderr, "%s\n", modbus_strerror(errno));
                return 5;
            }
        }
        if (scan >= 0) times[scan] = now() - start;
    }
    for (int at = 0; at < blocks * COUNT; at++)
        if (registers[at] != at) return 6;
    qsort(times, scans, sizeof *times, compare);
    printf("%.9f\n", times[scans / 2]);
    return 0;
}
