// Command load puts a Cardinal under load and prints what that took: the
// rate, the middle, 95th and 99th percentile of the time each operation took,
// and the CPU the server spent on one. compare does the same work against two
// servers in turn; tools/load/peers says how they are set up alike.
//
// Every answer is checked: a load in which anything was wrong ends with 1.
// LDAP and OCSP are spoken over bare sockets with requests encoded beforehand,
// so that the generator costs little beside what it measures.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func run(ctx context.Context, args []string, out io.Writer) error {
	root := &cobra.Command{Use: "load", Short: "Put a Cardinal under load, with every answer checked",
		Example: "  load data --people 10000 --services 1000 --out people.ldif\n  load login --url ldap://127.0.0.1:1389 --pid 4711",
		Args:    cobra.NoArgs, SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(dataCommand(out), seedCommand(out), revokedCommand(out), staffCommand(out), revokeCommand(out), nightCommand(out), photoCommand(out), ocspCommand(out), issuanceCommand(out))
	root.AddCommand(ldapCommands(out)...)
	root.AddCommand(compareCommand(out), bindsCommand(out), idleCommand(out), hostileCommand(out), besideCommand(out), crowdCommand(os.Stdin, out))
	root.SetArgs(args)
	root.SetOut(out)
	return root.ExecuteContext(ctx)
}
