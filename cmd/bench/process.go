package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// process is a server that this program has started.
type process struct {
	cmd  *exec.Cmd
	host string // address and port
	key  string // the service key
}

// start runs `nightlatch dev` on a data directory of its own, and returns when it listens.
func start(program, dir string) (*process, error) {
	cmd := exec.Command(program, "dev", "-quiet", "-addr", "127.0.0.1:0", "-data", dir)
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: make build makes it", err)
	}
	address := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)
	for range 200 {
		time.Sleep(50 * time.Millisecond)
		said, err := os.ReadFile(log.Name())
		if err != nil {
			return nil, err
		}
		found := address.FindSubmatch(said)
		if found == nil || !strings.Contains(string(said), "Ctrl-C") {
			continue
		}
		key, err := os.ReadFile(filepath.Join(dir, "service-key"))
		return &process{cmd, string(found[1]), strings.TrimSpace(string(key))}, err
	}
	said, err := os.ReadFile(log.Name())
	return nil, errors.Join(fmt.Errorf("%s does not start:\n%s", program, said), err, cmd.Process.Kill())
}

func (p *process) stop() error {
	return errors.Join(p.cmd.Process.Signal(os.Interrupt), p.cmd.Wait())
}

// cpu is what the process has computed so far, in user mode and in the system; 0 where there is no /proc.
func (p *process) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	var ticks int
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on every Linux
}

// memory is the most that the process has had in memory, in bytes; 0 where there is no /proc.
func (p *process) memory() (most int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscanf(rest, "%d kB", &most); err != nil {
		return 0
	}
	return most << 10
}

// machine is what the figures were measured on.
func machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info); m != nil {
			model = string(m[1])
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d × %s, %s %s, %s", runtime.NumCPU(), model, runtime.GOOS, strings.TrimSpace(string(kernel)), runtime.Version())
}
