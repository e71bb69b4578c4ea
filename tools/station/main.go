package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exit(os.Stderr, run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})))
}
