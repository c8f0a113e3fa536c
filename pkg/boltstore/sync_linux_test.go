package boltstore

import (
	"runtime"
	"syscall"
	"unsafe"
)

const canFailSync = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

var syncs = map[string]uint32{"fdatasync": syscall.SYS_FDATASYNC, "fsync": syscall.SYS_FSYNC}

// failSync has a system call fail with EIO from now on, in every thread of this process: what a disk says that could not
// write. It is a filter such as sandboxes have (seccomp(2)), which whoever gives up privileges may set.
func failSync(name string) error {
	const (
		prSetNoNewPrivs   = 38
		setModeFilter     = 1
		filterFlagTSync   = 1
		returnAllow       = 0x7fff0000
		returnErrno       = 0x00050000
		sysSeccompAMD64   = 317
		sysSeccompARM64   = 277
		offsetOfItsNumber = 0 // in struct seccomp_data
	)
	number := map[string]uintptr{"amd64": sysSeccompAMD64, "arm64": sysSeccompARM64}[runtime.GOARCH]
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offsetOfItsNumber},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, Jf: 1, K: syncs[name]},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: returnErrno | uint32(syscall.EIO)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: returnAllow},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // the second call is for the thread that has made the first
	defer runtime.UnlockOSThread()
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); err != 0 {
		return err
	}
	if thread, _, err := syscall.RawSyscall(number, setModeFilter, filterFlagTSync, uintptr(unsafe.Pointer(&program))); err != 0 || thread != 0 {
		return err
	}
	return nil
}
