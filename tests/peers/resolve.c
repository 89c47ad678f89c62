/* Loaded before a program: names below `db.test` are this machine, as a DNS with a wildcard would say. For clients that ask the
   system, which has no such names, and offer no other way. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

static const char domain[] = ".db.test";

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    lookup *system = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = name ? strlen(name) : 0, suffix = sizeof domain - 1;
    if (length > suffix && strcmp(name + length - suffix, domain) == 0)
        name = "127.0.0.1";
    return system(name, service, hints, found);
}
