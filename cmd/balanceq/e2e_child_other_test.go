//go:build !linux

package main_test

import "syscall"

func diesWithUs() *syscall.SysProcAttr { return nil }
