package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what the program under measurement has used, as the kernel counts.
type usage struct {
	cpu     time.Duration
	peakRSS int64 // bytes
}

func (u usage) String() string { return fmt.Sprintf("%d MB", u.peakRSS>>20) }

func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)   // utime, in ticks of 10 ms
	system, _ := strconv.ParseInt(fields[12], 10, 64) // stime
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	u := usage{cpu: time.Duration(user+system) * 10 * time.Millisecond}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			u.peakRSS, _ = strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			u.peakRSS <<= 10
		}
	}
	return u, nil
}

// ownCPU is what this process has used: the embedded broker, the CMS and the reader, who share the cores with the
// program under measurement.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it knows no error for these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
