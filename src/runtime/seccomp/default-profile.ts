import type { SeccompProfile, SeccompProfileRule } from "./profile.ts";

/*
 * The built-in profile: what a container may ask of the kernel. It has the effect of Docker's
 * default (everything not named is EPERM; clone3 is ENOSYS, so that C libraries fall back to clone,
 * whose flags a filter can see), arranged by subject so that a person can review it.
 * io_uring is left out, as in Docker since 25: its operations bypass the filter.
 */

/** Files, descriptors and file systems; nothing that changes mounts. */
const FILES = `
  _llseek _newselect access cachestat chdir chmod chown chown32 close close_range copy_file_range
  creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir
  fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr
  flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
  ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch
  inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr
  listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat
  name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
  pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
  renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs
  statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink
  unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev`;

/** Waiting for descriptors, and asynchronous input and output of the old kind. */
const WAITING = `
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
  epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents
  io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64 pselect6 pselect6_time64 select
  signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
  timerfd_settime64`;

/** Sockets; socket itself is below, without AF_VSOCK. */
const SOCKETS = `
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
  recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`;

const MEMORY = `
  brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall
  mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
  pkey_mprotect remap_file_pages`;

/** Processes, threads, scheduling, locks; clone is below, without namespaces. */
const PROCESSES = `
  execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv
  futex_wake get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority
  getrusage getsid gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl
  process_mrelease restart_syscall riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask
  rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
  rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
  sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list
  set_thread_area set_tid_address setpgid setpriority setsid sigaltstack sigprocmask sigreturn
  tgkill tkill uretprobe vfork wait4 waitid waitpid`;

/** Users, limits, and giving rights up. */
const CREDENTIALS = `
  capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid
  getresgid32 getresuid getresuid32 getrlimit getuid getuid32 landlock_add_rule
  landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules
  lsm_set_self_attr prlimit64 seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
  setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
  setreuid32 setrlimit setuid setuid32 ugetrlimit`;

/** Clocks that are read or waited for; adjtimex needs CAP_SYS_TIME to write, which the kernel asks. */
const TIME = `
  adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
  clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer
  time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
  timer_settime64 times`;

/** System V and POSIX message queues, semaphores and shared memory. */
const IPC = `
  ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
  mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
  semtimedop_time64 shmat shmctl shmdt shmget`;

const SYSTEM = "getrandom sysinfo uname";

/** personality(2): PER_LINUX, PER_LINUX32, UNAME26 with either, and 0xffffffff, which only asks. */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: none of them may be set. */
const CLONE_NAMESPACES = 0x7e02_0000;

const AF_VSOCK = 40; // reaches the hypervisor past every network rule
const ENOSYS = 38;

/** Calls that come with a capability; without it they stay refused. */
const BY_CAPABILITY: Readonly<Record<string, string>> = {
  CAP_DAC_READ_SEARCH: "open_by_handle_at",
  CAP_SYS_ADMIN: `
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount
    mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
    sethostname setns statmount syslog umount umount2 unshare`,
  CAP_SYS_BOOT: "reboot",
  CAP_SYS_CHROOT: "chroot",
  CAP_SYS_MODULE: "delete_module init_module finit_module",
  CAP_SYS_PACCT: "acct",
  CAP_SYS_PTRACE: `
    kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace`,
  CAP_SYS_RAWIO: "iopl ioperm",
  CAP_SYS_TIME: "settimeofday stime clock_settime clock_settime64",
  CAP_SYS_TTY_CONFIG: "vhangup",
  CAP_SYS_NICE: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
  CAP_SYSLOG: "syslog",
  CAP_BPF: "bpf",
  CAP_PERFMON: "perf_event_open",
};

/** Calls that only some processors have. */
const BY_ARCHITECTURE: readonly { readonly arches: string[]; readonly calls: string }[] = [
  { arches: ["amd64", "x32"], calls: "arch_prctl" },
  { arches: ["amd64", "x32", "x86"], calls: "modify_ldt" },
  {
    arches: ["arm", "arm64"],
    calls: "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
  },
  { arches: ["ppc64le"], calls: "swapcontext sync_file_range2" },
  { arches: ["riscv64"], calls: "riscv_flush_icache" },
  { arches: ["s390", "s390x"], calls: "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr" },
];

const S390 = ["s390", "s390x"];

/** The profile of every container that asks for no other. */
export const DEFAULT_SECCOMP_PROFILE: SeccompProfile = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  archMap: [
    { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    { architecture: "SCMP_ARCH_RISCV64", subArchitectures: [] },
    { architecture: "SCMP_ARCH_S390X", subArchitectures: ["SCMP_ARCH_S390"] },
    { architecture: "SCMP_ARCH_PPC64LE", subArchitectures: [] },
  ],
  syscalls: [
    allow(words([FILES, WAITING, SOCKETS, MEMORY, PROCESSES, CREDENTIALS, TIME, IPC, SYSTEM])),
    // Before 4.8 a tracer could change a call after the filter had looked at it.
    {
      ...allow(words(["process_vm_readv process_vm_writev ptrace"])),
      includes: { minKernel: "4.8" },
    },
    { ...allow(["socket"]), args: [{ index: 0, value: AF_VSOCK, op: "SCMP_CMP_NE" }] },
    ...PERSONALITIES.map((value) => ({
      ...allow(["personality"]),
      args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
    })),
    ...BY_ARCHITECTURE.map(({ arches, calls }) => ({
      ...allow(words([calls])),
      includes: { arches },
    })),
    ...Object.entries(BY_CAPABILITY).map(([capability, calls]) => ({
      ...allow(words([calls])),
      includes: { caps: [capability] },
    })),
    {
      ...cloneWithoutNamespaces(0),
      excludes: { caps: ["CAP_SYS_ADMIN"], arches: S390 },
    },
    {
      // On s390 the flags are the second argument. @see clone(2)
      ...cloneWithoutNamespaces(1),
      includes: { arches: S390 },
      excludes: { caps: ["CAP_SYS_ADMIN"] },
    },
    {
      names: ["clone3"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: ENOSYS,
      excludes: { caps: ["CAP_SYS_ADMIN"] },
    },
  ],
};

function cloneWithoutNamespaces(index: number): SeccompProfileRule {
  const argument = { index, value: CLONE_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" };
  return { ...allow(["clone"]), args: [argument] };
}

function allow(names: readonly string[]): SeccompProfileRule {
  return { names, action: "SCMP_ACT_ALLOW" };
}

function words(texts: readonly string[]): string[] {
  return texts.join(" ").trim().split(/\s+/).sort();
}
