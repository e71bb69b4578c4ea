package main

import "github.com/spf13/cobra"

func importCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "import FILE...", Short: "Load LDIF", Example: "  cardinal import FILE...",
		RunE: func(*cobra.Command, []string) error { return wrong("import", errNotBuilt) }}
}
