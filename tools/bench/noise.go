package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// machineCPU is what all programs of this machine have used, and what other machines on the same hardware have taken
// from it (steal), as the kernel counts.
func machineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	var ticks int64
	for i, field := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are in user and nice already.
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// watch notes what the machine and this process have used so far.
type watch struct {
	began        time.Time
	machine, own time.Duration
}

func startWatch() (watch, error) {
	machine, err := machineCPU()
	return watch{time.Now(), machine, ownCPU()}, err
}

// noise is how many cores others have used since, beside this process and the program under measurement.
func (w watch) noise(program time.Duration) (float64, error) {
	machine, err := machineCPU()
	others := machine - w.machine - (ownCPU() - w.own) - program
	return max(0, others.Seconds()/time.Since(w.began).Seconds()), err
}
