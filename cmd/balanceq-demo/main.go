// Command balanceq-demo shows balanceq at work, with nothing to install; package demo says how.
//
//	go run ./cmd/balanceq-demo
package main

import "github.com/balanceq/balanceq/internal/demo"

func main() { demo.Main() }
