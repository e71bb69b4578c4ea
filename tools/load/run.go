// Command load puts a Cardinal under load and prints what that took: one line
// of JSON with the rate, the middle, 95th and 99th percentile of the time each
// operation took, and the CPU the server spent on one.
//
// Every answer is checked, so a fast wrong server has no rate but an error.
// LDAP and OCSP are spoken over bare sockets with requests encoded beforehand,
// so that the generator costs little beside what it measures.
package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

func run(ctx context.Context, args []string, out io.Writer) error {
	root := &cobra.Command{Use: "load", Short: "Put a Cardinal under load, with every answer checked",
		Example: "  load people --people 10000 --out people.ldif\n  load ldap --address 127.0.0.1:1389 --operation login --pid 4711",
		Args:    cobra.NoArgs, SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(peopleCommand(out), photoCommand(out), ldapCommand(out), ocspCommand(out), issuanceCommand(out))
	root.SetArgs(args)
	root.SetOut(out)
	return root.ExecuteContext(ctx)
}
