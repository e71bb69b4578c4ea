package main

import "github.com/spf13/cobra"

func verifyCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "verify", Short: "Check everything", Example: "  cardinal verify",
		RunE: func(*cobra.Command, []string) error { return wrong("verify", errNotBuilt) }}
}
