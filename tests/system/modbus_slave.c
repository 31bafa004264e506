/* A Modbus slave written with libmodbus: holding registers that hold their own address, input registers 1000 more.
 *
 * modbus_slave tcp [PORT]         listens on 127.0.0.1 (0 or nothing: any port), any device id, several clients
 * modbus_slave rtu TTY BAUD ID    serves a serial line
 *
 * Prints "ready PORT" (0 on a serial line) when it can be asked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#define REGISTERS 10000
#define BITS 256

static void fill(modbus_mapping_t *map) {
    for (int i = 0; i < REGISTERS; i++) map->tab_registers[i] = i;
    for (int i = 0; i < REGISTERS; i++) map->tab_input_registers[i] = 1000 + i;
    for (int i = 0; i < BITS; i++) map->tab_bits[i] = i % 4 == 1 || i % 4 == 2;
    for (int i = 0; i < BITS; i++) map->tab_input_bits[i] = i % 4 == 0;
}

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    return 1;
}

static int answer(modbus_t *slave, modbus_mapping_t *map) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int size = modbus_receive(slave, query);
    if (size > 0) return modbus_reply(slave, query, size, map);
    return size;
}

static int serve_tcp(modbus_t *slave, modbus_mapping_t *map) {
    int listening = modbus_tcp_listen(slave, 8);
    if (listening < 0) return fail("listen");
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    getsockname(listening, (struct sockaddr *)&address, &length);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    fd_set all;
    FD_ZERO(&all);
    FD_SET(listening, &all);
    int last = listening;
    for (;;) {
        fd_set some = all;
        if (select(last + 1, &some, NULL, NULL, NULL) < 0) return fail("select");
        for (int each = 0; each <= last; each++) {
            if (!FD_ISSET(each, &some)) continue;
            if (each == listening) {
                int client = accept(listening, NULL, NULL), on = 1;
                if (client < 0) return fail("accept");
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                FD_SET(client, &all);
                if (client > last) last = client;
                continue;
            }
            modbus_set_socket(slave, each);
            if (answer(slave, map) < 0) {
                close(each);
                FD_CLR(each, &all);
            }
        }
    }
}

static int serve_rtu(modbus_t *slave, modbus_mapping_t *map, int device_id) {
    modbus_set_slave(slave, device_id);
    /* Without it a request to another device id puts it out of step for good: it takes no silence for an end. */
    modbus_set_error_recovery(slave, MODBUS_ERROR_RECOVERY_PROTOCOL);
    if (modbus_connect(slave) < 0) return fail("open");
    printf("ready 0\n");
    fflush(stdout);
    for (;;) {
        if (answer(slave, map) < 0 && errno != EMBBADCRC && errno != ETIMEDOUT) return fail("receive");
    }
}

int main(int count, char **words) {
    modbus_mapping_t *map = modbus_mapping_new(BITS, BITS, REGISTERS, REGISTERS);
    fill(map);
    if (count == 5 && strcmp(words[1], "rtu") == 0)
        return serve_rtu(modbus_new_rtu(words[2], atoi(words[3]), 'N', 8, 1), map, atoi(words[4]));
    if (count >= 2 && strcmp(words[1], "tcp") == 0)
        return serve_tcp(modbus_new_tcp("127.0.0.1", count > 2 ? atoi(words[2]) : 0), map);
    fprintf(stderr, "usage: %s tcp [PORT] | rtu TTY BAUD ID\n", words[0]);
    return 2;
}
