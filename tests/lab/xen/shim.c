/* SPDX-FileCopyrightText: 2026 The outofband.chr authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What oxenstored needs of Xen, from files in the folder $LAB_XEN, and the little that "xl create -n" asks: preloaded into them
 * where there is no Xen.
 * A guest's ring is the file ring-<domid>. Its event channel is a pair of FIFOs: the port number (4 bytes) into "events" for
 * oxenstored, one byte into "port-<port>" for the guest.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PORTS 4096
#define VIRQ_PORT 4095

static int handle; /* its address stands for every handle */
static int events = -1;
static int notify[PORTS];

static const char *in_folder(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", getenv("LAB_XEN"), name);
    return path;
}

static int fifo(const char *name)
{
    char path[512];

    mkfifo(in_folder(name, path, sizeof(path)), 0600);
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/* -- libxenctrl ---------------------------------------------------------------------------------------------------- */

void *xc_interface_open(void *logger, void *other, unsigned flags)
{
    (void)logger, (void)other, (void)flags;
    return &handle;
}

int xc_interface_close(void *xch)
{
    (void)xch;
    return 0;
}

void *xc_map_foreign_range(void *xch, uint32_t domid, int size, int prot, unsigned long mfn)
{
    char name[32], path[512];
    int fd;
    void *page;

    (void)xch, (void)mfn;
    snprintf(name, sizeof(name), "ring-%u", domid);
    fd = open(in_folder(name, path, sizeof(path)), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    page = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

int xc_get_max_cpus(void *xch)
{
    (void)xch;
    return 4;
}

int xc_get_max_nodes(void *xch)
{
    (void)xch;
    return 1;
}

/* -- libxenlight --------------------------------------------------------------------------------------------------- */

const void *libxl_get_version_info(void *ctx)
{
    (void)ctx;
    return NULL;
}

int libxl_get_physinfo(void *ctx, void *physinfo)
{
    (void)ctx, (void)physinfo;
    return 0;
}

/* -- libxenevtchn -------------------------------------------------------------------------------------------------- */

void *xenevtchn_open(void *logger, unsigned flags)
{
    (void)logger, (void)flags;
    events = fifo("events");
    return events < 0 ? NULL : &handle;
}

int xenevtchn_close(void *xce)
{
    (void)xce;
    return 0;
}

int xenevtchn_fd(void *xce)
{
    (void)xce;
    return events;
}

int xenevtchn_bind_interdomain(void *xce, uint32_t domid, uint32_t port)
{
    char name[32];

    (void)xce, (void)domid;
    if (port == 0 || port >= VIRQ_PORT) {
        errno = EINVAL;
        return -1;
    }
    snprintf(name, sizeof(name), "port-%u", port);
    if (!notify[port])
        notify[port] = fifo(name);
    return port;
}

int xenevtchn_bind_virq(void *xce, unsigned virq)
{
    (void)xce, (void)virq;
    return VIRQ_PORT;
}

int xenevtchn_unbind(void *xce, uint32_t port)
{
    (void)xce;
    if (port < VIRQ_PORT && notify[port]) {
        close(notify[port]);
        notify[port] = 0;
    }
    return 0;
}

int xenevtchn_notify(void *xce, uint32_t port)
{
    (void)xce;
    if (port < VIRQ_PORT && notify[port] && write(notify[port], "", 1) < 0 && errno != EAGAIN)
        return -1; /* a full FIFO has already told the guest */
    return 0;
}

int xenevtchn_pending(void *xce)
{
    uint32_t port;

    (void)xce;
    return read(events, &port, sizeof(port)) == sizeof(port) ? (int)port : -1;
}

int xenevtchn_unmask(void *xce, uint32_t port)
{
    (void)xce, (void)port;
    return 0;
}

/* -- libc: places that are built into the program -------------------------------------------------------------------- */

/* Where the daemon's packages are unpacked: since Xen 4.20 it loads a plugin by its absolute path. */
static const char *unpacked(const char *path, char *changed, size_t size)
{
    const char *root = getenv("LAB_XEN_ROOT");

    if (!path || !root || strncmp(path, "/usr/lib/xen-", strlen("/usr/lib/xen-")))
        return path;
    snprintf(changed, size, "%s%s", root, path);
    return changed;
}

static const char *elsewhere(const char *path, char *changed, size_t size)
{
    static const char *const places[] = { "/var/run/xenstored", "/run/xenstored", "/var/run/xen", "/run/xen", "/var/log/xen" };

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        size_t length = strlen(places[i]);
        if (!strncmp(path, places[i], length) && (path[length] == '/' || !path[length])) {
            snprintf(changed, size, "%s%s", getenv("LAB_XEN"), path + length);
            return changed;
        }
    }
    return path;
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

void *dlopen(const char *path, int flags)
{
    char changed[512];

    return REAL(dlopen)(unpacked(path, changed, sizeof(changed)), flags);
}

DIR *opendir(const char *path)
{
    char changed[512];

    return REAL(opendir)(unpacked(path, changed, sizeof(changed)));
}

int stat64(const char *path, struct stat64 *status)
{
    char changed[512];

    return REAL(stat64)(unpacked(path, changed, sizeof(changed)), status);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limits)
{
    (void)resource, (void)limits; /* raising it needs root, and is not needed here */
    return 0;
}

int mkdir(const char *path, mode_t mode)
{
    char changed[512];

    return REAL(mkdir)(elsewhere(path, changed, sizeof(changed)), mode);
}

int unlink(const char *path)
{
    char changed[512];

    return REAL(unlink)(elsewhere(path, changed, sizeof(changed)));
}

int chmod(const char *path, mode_t mode)
{
    char changed[512];

    return REAL(chmod)(elsewhere(path, changed, sizeof(changed)), mode);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    char changed[512];
    struct sockaddr_un moved;

    if (address->sa_family != AF_UNIX)
        return REAL(bind)(fd, address, length);
    memset(&moved, 0, sizeof(moved));
    moved.sun_family = AF_UNIX;
    snprintf(moved.sun_path, sizeof(moved.sun_path), "%s",
             elsewhere(((const struct sockaddr_un *)address)->sun_path, changed, sizeof(changed)));
    return REAL(bind)(fd, (const struct sockaddr *)&moved, sizeof(moved));
}
