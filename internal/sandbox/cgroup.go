package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxProcesses bounds the processes and threads of an environment, as Lambda does.
const maxProcesses = 1024

// cgroupFactory makes control groups, below the group of this very process.
type cgroupFactory struct {
	version string            // "v1", "v2" or ""
	bases   map[string]string // controller to the folder below which groups are made
	prefix  string            // of the names of groups: this process, and this host in it
	next    *atomic.Uint64
}

func (f cgroupFactory) has(controller string) bool { return f.bases[controller] != "" }

// cgroup is the set of groups that one environment is in. A nil cgroup limits nothing.
type cgroup struct {
	version string
	dirs    map[string]string // by controller; with v2 all are the same
}

// newCgroupFactory finds out which controllers this process may make groups in.
func newCgroupFactory(token string) cgroupFactory {
	f := cgroupFactory{bases: map[string]string{}, next: new(atomic.Uint64), prefix: "moat-" + strconv.Itoa(os.Getpid()) + "-" + token + "-"}
	own := ownGroups()
	for _, controller := range []string{"memory", "cpu", "pids"} {
		path, ok := own[controller]
		if !ok {
			continue
		}
		for _, base := range []string{
			filepath.Join("/sys/fs/cgroup", controller, path),
			filepath.Join("/sys/fs/cgroup", controller), // a container sees its own group as the root
		} {
			if f.makes(base) {
				f.version, f.bases[controller] = "v1", base
				sweepGroups(base)
				break
			}
		}
	}
	if f.version == "" {
		f.unified(own[""])
	}
	return f
}

// ownGroups gives the group of this process by controller; "" is the one of v2.
func ownGroups() map[string]string {
	groups := map[string]string{}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, controller := range strings.Split(parts[1], ",") {
			groups[controller] = parts[2]
		}
	}
	return groups
}

func (f *cgroupFactory) makes(base string) bool {
	dir := filepath.Join(base, f.name(0))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return false
	}
	return os.Remove(dir) == nil
}

func (f *cgroupFactory) name(n uint64) string { return f.prefix + strconv.FormatUint(n, 10) }

// sweepGroups removes what processes have left behind that were killed.
func sweepGroups(base string) {
	stale, _ := filepath.Glob(filepath.Join(base, "moat-*-*-*"))
	for _, dir := range stale {
		pid := strings.Split(filepath.Base(dir), "-")[1]
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			_ = os.Remove(dir) // the kernel refuses if the group is in use
		}
	}
}

// unified sets up control groups v2: a group with processes of its own cannot limit
// its children, so this process moves one level down first.
func (f *cgroupFactory) unified(own string) {
	base := filepath.Join("/sys/fs/cgroup", own)
	offered, err := os.ReadFile(filepath.Join(base, "cgroup.controllers"))
	if err != nil || !f.makes(base) {
		return
	}
	if strings.HasPrefix(filepath.Base(base), "moat-main") {
		base = filepath.Dir(base)
	} else if own != "/" {
		main := filepath.Join(base, "moat-main")
		if err := os.Mkdir(main, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return
		}
		if err := write(main, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return
		}
	}
	for _, controller := range strings.Fields(string(offered)) {
		switch controller {
		case "memory", "cpu", "pids":
			if write(base, "cgroup.subtree_control", "+"+controller) == nil {
				f.version, f.bases[controller] = "v2", base
			}
		}
	}
	sweepGroups(base)
}

// create makes the groups of one environment and sets their limits.
func (f cgroupFactory) create(spec *Spec) (*cgroup, error) {
	if f.version == "" {
		return nil, nil
	}
	g := &cgroup{version: f.version, dirs: map[string]string{}}
	name := f.name(f.next.Add(1))
	for controller, base := range f.bases {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			g.remove()
			return nil, fmt.Errorf("making a control group: %w", err)
		}
		g.dirs[controller] = dir
		if err := limit(f.version, controller, dir, spec); err != nil {
			g.remove()
			return nil, fmt.Errorf("limiting a control group: %w", err)
		}
	}
	return g, nil
}

// limit writes the limits of one controller. The share of CPU grows with the memory,
// as on Lambda, where 1,769 MB are one processor; but no function gets less than one
// processor when the machine is idle, and none more than its share above that.
func limit(version, controller, dir string, spec *Spec) error {
	bytes := strconv.FormatInt(int64(spec.MemoryMB)<<20, 10)
	const period = 100000
	quota := strconv.Itoa(max(period, period*spec.MemoryMB/1769))
	switch version + controller {
	case "v1memory":
		if err := write(dir, "memory.limit_in_bytes", bytes); err != nil {
			return err
		}
		_ = write(dir, "memory.memsw.limit_in_bytes", bytes) // only where swap is accounted
		return nil
	case "v2memory":
		_ = write(dir, "memory.swap.max", "0")
		_ = write(dir, "memory.oom.group", "1")
		return write(dir, "memory.max", bytes)
	case "v1cpu":
		if err := write(dir, "cpu.shares", strconv.Itoa(max(2, spec.MemoryMB*1024/1769))); err != nil {
			return err
		}
		return write(dir, "cpu.cfs_quota_us", quota) // the period is 100 ms unless changed
	case "v2cpu":
		if err := write(dir, "cpu.weight", strconv.Itoa(min(10000, max(1, spec.MemoryMB*100/1769)))); err != nil {
			return err
		}
		return write(dir, "cpu.max", quota+" "+strconv.Itoa(period))
	}
	return write(dir, "pids.max", strconv.Itoa(maxProcesses))
}

// add puts a process, and so whatever it will start, into the groups.
func (g *cgroup) add(pid int) error {
	if g == nil {
		return nil
	}
	for _, dir := range g.dirs {
		if err := write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("entering a control group: %w", err)
		}
	}
	return nil
}

// remove deletes the groups, whose processes are gone.
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	for _, dir := range g.dirs {
		_ = os.Remove(dir)
	}
}

// peakMB gives the most memory that the environment has used.
func (g *cgroup) peakMB(cmd *exec.Cmd) int {
	if g != nil && g.dirs["memory"] != "" {
		name := "memory.max_usage_in_bytes"
		if g.version == "v2" {
			name = "memory.peak"
		}
		if b, err := os.ReadFile(filepath.Join(g.dirs["memory"], name)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				return int((n + 1<<20 - 1) >> 20)
			}
		}
	}
	return residentMB(cmd)
}

// residentMB gives the largest resident set of a process that runs.
func residentMB(cmd *exec.Cmd) int {
	if cmd.Process == nil {
		return 0
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), "VmHWM:")
	if !ok {
		return 0
	}
	var kb int
	_, _ = fmt.Sscan(rest, &kb)
	return (kb + 1023) / 1024
}

func write(dir, name, value string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(value), 0o644)
}
