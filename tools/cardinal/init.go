package main

import "github.com/spf13/cobra"

func initCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "init", Short: "Make an installation", Example: "  cardinal init",
		RunE: func(*cobra.Command, []string) error { return wrong("init", errNotBuilt) }}
}
