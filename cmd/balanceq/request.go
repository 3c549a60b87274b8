package main

import "github.com/spf13/cobra"

func (p *program) requestCommand() *cobra.Command { return &cobra.Command{Use: "request"} }
func (p *program) resultsCommand() *cobra.Command { return &cobra.Command{Use: "results"} }
