package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// activity is what the program has done so far, and what it holds at the moment, as the kernel counts.
type activity struct {
	usage
	rss            int64 // bytes
	files, threads int
	writes         int64 // system calls: an idle instance writes to brokers only
	sent, received int64 // bytes by read and write, those of sockets included
	switches       int64 // times that a thread has gone to sleep by itself
}

func activityOf(pid int) (a activity, err error) {
	if a.usage, err = usageOf(pid); err != nil {
		return a, err
	}
	status, err := fieldsOf(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return a, err
	}
	a.rss = status["VmRSS"] << 10 // in kB
	io, err := fieldsOf(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return a, err
	}
	a.writes, a.sent, a.received = io["syscw"], io["wchar"], io["rchar"]
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return a, err
	}
	a.files = len(files)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return a, err
	}
	for _, thread := range threads {
		if of, err := fieldsOf(thread); err == nil { // it may have ended
			a.threads++
			a.switches += of["voluntary_ctxt_switches"]
		}
	}
	return a, nil
}

// fieldsOf reads the numbers of lines such as "VmRSS:  1024 kB".
func fieldsOf(path string) (map[string]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := map[string]int64{}
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(line), ":")
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			fields[name] = n
		}
	}
	return fields, nil
}
