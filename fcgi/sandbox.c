/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/sandbox.h"

#include "core/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- files --- */

/* Version 3; older headers do not know it. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif

#define FILE_READ LANDLOCK_ACCESS_FS_READ_FILE
#define FILE_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define DIR_LIST LANDLOCK_ACCESS_FS_READ_DIR
#define DIR_WRITE                                                           \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |   \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
		LANDLOCK_ACCESS_FS_REFER)
#define NEVER                                                                 \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |          \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static uint64_t rights_of(enum sandbox_access access, bool dir)
{
	uint64_t possible = dir ? UINT64_MAX : FILE_READ | FILE_WRITE;

	switch (access) {
	case SANDBOX_LIST:
		return (DIR_LIST | LANDLOCK_ACCESS_FS_MAKE_DIR) & possible;
	case SANDBOX_READ:
		return (DIR_LIST | FILE_READ) & possible;
	case SANDBOX_WRITE:
		return (DIR_LIST | FILE_READ | FILE_WRITE | DIR_WRITE) & possible;
	}
	return 0;
}

/* What cannot be opened cannot be allowed either, and is told by whoever needs it. */
static void add_rule(int ruleset, const struct sandbox_rule *r, uint64_t handled)
{
	struct stat st;
	int fd = open(r->path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0) {
		struct landlock_path_beneath_attr beneath = {
			.parent_fd = fd,
			.allowed_access = rights_of(r->access, S_ISDIR(st.st_mode)) & handled,
		};
		if (beneath.allowed_access != 0)
			(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
				&beneath, 0);
	}
	close(fd);
}

/* The version in force; 0: the kernel has none that is good enough. */
static int restrict_files(const struct sandbox_rule *rules, size_t n)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = FILE_READ | FILE_WRITE | DIR_LIST | DIR_WRITE | NEVER,
	};
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	/* Version 1 denies every rename from one folder into another. */
	if (version < 2)
		return 0;
	if (version < 3)
		attr.handled_access_fs &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		add_rule(ruleset, &rules[i], attr.handled_access_fs);
	long rc = syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
	return rc == 0 ? (int)version : 0;
}

/* --- system calls --- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH

/* Calls by other numbers (x86_64: the 32-bit-pointer table) would go round the list below. */
#define FOREIGN_NUMBERS 0x40000000U

static const int denied[] = {
	/* other programs, other processes */
	SYS_execve,
	SYS_execveat,
#ifdef SYS_fork
	SYS_fork,
	SYS_vfork,
#endif
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_process_madvise,
	SYS_pidfd_getfd,
	SYS_kcmp,
	SYS_personality,
	/* the tree of files, and ways past it */
	SYS_mount,
	SYS_umount2,
	SYS_mount_setattr,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_pivot_root,
	SYS_chroot,
	SYS_mknodat,
#ifdef SYS_mknod
	SYS_mknod,
#endif
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	SYS_fanotify_init,
	SYS_quotactl,
	SYS_quotactl_fd,
	SYS_swapon,
	SYS_swapoff,
	/* other rights */
	SYS_setns,
	SYS_unshare,
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setfsuid,
	SYS_setfsgid,
	SYS_setgroups,
	SYS_capset,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* the kernel and the machine */
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_reboot,
	SYS_acct,
	SYS_syslog,
	SYS_vhangup,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_sethostname,
	SYS_setdomainname,
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
#endif
};
#define NDENIED (sizeof(denied) / sizeof(denied[0]))

#define DENY (SECCOMP_RET_ERRNO | EPERM)
#define LOAD(field)          \
	(struct sock_filter) \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define RETURN(action) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (action))
/* Go on with the next instruction if the test says so, else leave one out; and the reverse. */
#define IF(test, value) (struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 0, 1)
#define UNLESS(test, value) (struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 1, 0)

static bool restrict_calls(void)
{
	struct sock_filter code[2 * NDENIED + 16];
	size_t n = 0;

	code[n++] = LOAD(arch);
	code[n++] = UNLESS(BPF_JEQ, ARCH);
	code[n++] = RETURN(DENY);
	code[n++] = LOAD(nr);
	code[n++] = IF(BPF_JGE, FOREIGN_NUMBERS);
	code[n++] = RETURN(DENY);
	for (size_t i = 0; i < NDENIED; i++) {
		code[n++] = IF(BPF_JEQ, (unsigned)denied[i]);
		code[n++] = RETURN(DENY);
	}
	/* The filter cannot see its arguments; libraries then use clone. */
	code[n++] = IF(BPF_JEQ, SYS_clone3);
	code[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
	code[n++] = UNLESS(BPF_JEQ, SYS_clone);
	code[n++] = RETURN(SECCOMP_RET_ALLOW);
	/* A thread, nothing else. */
	code[n++] = LOAD(args[0]);
	code[n++] = UNLESS(BPF_JSET, CLONE_THREAD);
	code[n++] = RETURN(DENY);
	code[n++] = RETURN(SECCOMP_RET_ALLOW);

	struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

#else

static bool restrict_calls(void)
{
	return false;
}

#endif

int sandbox_enter(const struct sandbox_rule *rules, size_t n, bool required,
	struct sandbox_state *out, struct err *err)
{
	*out = (struct sandbox_state){0};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return required ? err_errno(err, __func__, "no_new_privs") : 0;
	out->landlock = restrict_files(rules, n);
	out->seccomp = restrict_calls();
	if (!required || (out->landlock > 0 && out->seccomp))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, __func__, "this kernel offers no %s",
		out->landlock > 0 ? "seccomp filter" : "Landlock (Linux 5.19 or newer)");
}
