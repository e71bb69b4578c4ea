package main

import "github.com/spf13/cobra"

func serveCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "serve", Short: "Serve an installation", Example: "  cardinal serve",
		RunE: func(*cobra.Command, []string) error { return wrong("serve", errNotBuilt) }}
}
