// Lets User Mode Linux run on a processor whose registers are more than it knows, such as those with AMX.
//
// Before a guest process goes on, its kernel (up to 6.x, by ptrace) gives back the process's registers: 2,696 bytes, all that
// there was up to AVX-512. The host takes only all that it has itself (arch/x86/kernel/fpu/regset.c, xstateregs_set: `count !=
// fpu_user_cfg.max_size` is EFAULT) and the guest dies at its first step. Here what is missing is added: zeroes, the state of what was
// never used, and the guest's processes use none of it, since nobody asked the host for leave to (ARCH_REQ_XCOMP_PERM).
// Preloaded into the kernel by who starts it; on other processors it changes nothing.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Not on the stack: that of a kernel thread is small. There is one of it, since the guest has one processor.
static char registers[1 << 16];
// How many bytes of it the host takes, as soon as it has refused less.
static size_t host_has;

static long set(pid_t process, const struct iovec *given) {
	struct iovec all = { registers, host_has };
	memcpy(registers, given->iov_base, given->iov_len);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, process, NT_X86_XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...) {
	va_list rest;
	va_start(rest, request);
	pid_t process = va_arg(rest, pid_t);
	void *address = va_arg(rest, void *), *data = va_arg(rest, void *);
	va_end(rest);

	// As in the C library: what is peeked is the result.
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		long word;
		return syscall(SYS_ptrace, request, process, address, &word) < 0 ? -1 : (errno = 0, word);
	}
	int is_set = request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE;
	const struct iovec *given = data;
	if (is_set && given->iov_len < host_has)
		return set(process, given);
	long result = syscall(SYS_ptrace, request, process, address, data);
	if (result < 0 && errno == EFAULT && is_set && host_has == 0) {
		struct iovec all = { registers, sizeof registers };
		if (syscall(SYS_ptrace, PTRACE_GETREGSET, process, NT_X86_XSTATE, &all) < 0 || all.iov_len <= given->iov_len) {
			errno = EFAULT;
			return -1;
		}
		host_has = all.iov_len;
		memset(registers, 0, sizeof registers);
		return set(process, given);
	}
	return result;
}
