// Command check runs everything that can be checked where it runs, and says at
// the end what it could not check and what to install for it. Continuous
// integration runs this same command.
//
//	go run ./tools/check            everything: a few minutes
//	go run ./tools/check -short     no PostgreSQL, no child processes
//	go run ./tools/check --soak     the long runs too
//
// It ends with 0 when all is well, 1 when something is not, 2 on wrong usage.
// With CI=true in the environment, a test skipped for want of a program is a
// failure.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

func run(ctx context.Context, args []string, out io.Writer) int {
	c := &check{out: out, strict: os.Getenv("CI") == "true"}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.BoolVar(&c.short, "short", false, "no PostgreSQL and no child processes in tests, no fuzzing")
	flags.BoolVar(&c.soak, "soak", false, "the long runs too, for hours: fuzz targets a minute each, tests told so by CARDINAL_SOAK=1 (an hour of processor time of garbage over sockets, 200 kills under writes)")
	flags.StringVar(&c.only, "only", "", "run one step, by its name")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := c.enter(ctx); err != nil {
		fmt.Fprintln(out, "check:", err)
		return 2
	}
	return c.all(ctx)
}
