package main

import "github.com/spf13/cobra"

func loginCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "login", Short: "Log in as a relying system would", Example: "  cardinal login",
		RunE: func(*cobra.Command, []string) error { return wrong("login", errNotBuilt) }}
}
