package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cardinal/internal/ber"
)

// crowd is many clients that ask for much, as often as they are answered.
type crowd struct {
	ldapLoad
	clients, logins int
	warm            int          // who ask once before the others
	asked           atomic.Int64 // requests answered
}

// crowds are what a crowd can do, one request.
func crowds() map[string]func(c *crowd, w *wire, i int) error {
	return map[string]func(c *crowd, w *wire, i int) error{
		"answers": func(c *crowd, w *wire, _ int) error {
			return w.exhaust(searchRequest{base: "ou=People," + c.people.Suffix, scope: scopeSubtree})
		},
		"scans": func(c *crowd, w *wire, i int) error {
			return w.exhaust(searchRequest{base: c.people.Suffix, scope: scopeSubtree, attribute: "description", inside: "nobody has " + strconv.Itoa(i)})
		},
		"binds": func(c *crowd, w *wire, i int) error {
			return w.bind(loginDN(c.people.Suffix, i%c.logins), servicePassword)
		},
		"connects": func(c *crowd, _ *wire, i int) error {
			w, err := c.target.login(context.Background(), i)
			if err != nil {
				return err
			}
			return w.unbind()
		},
	}
}

// exhaust reads an answer to its end, whatever its result.
func (w *wire) exhaust(q searchRequest) error {
	w.id++
	w.out = q.append(w.out[:0], w.id)
	if err := w.send(); err != nil {
		return err
	}
	for {
		w.in.forget()
		tag, _, err := w.in.next(w.id)
		if err != nil || tag != tagSearchEntry {
			return err
		}
	}
}

func crowdCommand(in io.Reader, out io.Writer) *cobra.Command {
	c := &crowd{}
	kinds := slices.Sorted(maps.Keys(crowds()))
	cmd := &cobra.Command{Use: "crowd KIND", Short: "Be many clients that ask for much", Args: cobra.ExactArgs(1), ValidArgs: kinds,
		Long: `The clients connect and bind, then "ready" is printed and each does the same again and again until
standard input ends; then the number of requests that were answered is printed. Kinds:
answers   everything a search may return, read to its end
scans     a search that no index answers and nothing matches
binds     a bind on an open connection, as one of the identities of "load data --logins"
connects  connect, bind, unbind`,
		Example: "  load crowd answers --url ldap://127.0.0.1:1389 --clients 1000",
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, ok := crowds()[args[0]]
			if !ok {
				return fmt.Errorf("%q %w", args[0], errCrowd)
			}
			if err := c.resolve(c.people.Suffix); err != nil {
				return err
			}
			if args[0] == "binds" { // each identity is to have bound before
				c.warm = c.logins
			}
			return c.run(cmd.Context(), ask, in, out)
		}}
	c.target.flags(cmd)
	workforceFlags(cmd, &c.people)
	c.flags(cmd)
	return cmd
}

var errCrowd = errors.New("is nothing a crowd can do")

func (c *crowd) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&c.clients, "clients", 1000, "how many")
	cmd.Flags().IntVar(&c.logins, "logins", 50, "identities there are to bind as")
}

func (c *crowd) run(ctx context.Context, ask func(c *crowd, w *wire, i int) error, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	i := idling{target: c.target}
	wires, err := i.open(ctx, c.clients)
	defer closeAll(wires)
	if err != nil {
		return err
	}
	for i, w := range wires[:min(c.warm, len(wires))] { // in turn: hashing is bounded
		if err := ask(c, w, i); err != nil {
			return err
		}
	}
	var once sync.Once
	var first error
	var work sync.WaitGroup
	for i, w := range wires {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := ask(c, w, i); err != nil && ctx.Err() == nil {
					once.Do(func() { first = fmt.Errorf("client %d: %w", i, err) })
					return
				}
				c.asked.Add(1)
			}
		})
	}
	fmt.Fprintln(out, "ready")
	_, _ = io.Copy(io.Discard, in)
	stop()
	fmt.Fprintln(out, c.asked.Load())
	closeAll(wires)
	work.Wait()
	return first
}

// gathering is a crowd in a process of its own, so that it does not stand in
// the way of who measures.
type gathering struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// gather starts a crowd and returns when it is there. Its process is nice: who
// measures must not wait for it.
func gather(ctx context.Context, args []string) (*gathering, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	g := &gathering{cmd: exec.CommandContext(ctx, self, args...)}
	g.cmd.Stderr = os.Stderr
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.out = bufio.NewScanner(out)
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, g.cmd.Process.Pid, 10)
	if !g.out.Scan() {
		return nil, errors.Join(errNoCrowd, g.cmd.Wait())
	}
	return g, nil
}

var errNoCrowd = errors.New("the crowd did not come")

// leave ends a crowd and tells how many requests of it were answered.
func (g *gathering) leave() (answered int, err error) {
	_ = g.in.Close()
	kill := time.AfterFunc(30*time.Second, func() { _ = g.cmd.Process.Kill() })
	defer kill.Stop()
	if g.out.Scan() {
		answered, err = strconv.Atoi(g.out.Text())
	}
	return answered, errors.Join(err, g.cmd.Wait())
}

// appendInside appends a substring filter on what stands anywhere in a value.
func appendInside(b []byte, attribute, value string) []byte {
	b, mark := ber.Begin(b, tagSubstrings)
	b = ber.AppendString(b, ber.OctetString, attribute)
	b, list := ber.Begin(b, tagSequence)
	b = ber.AppendString(b, tagAny, value)
	b = ber.End(b, list)
	return ber.End(b, mark)
}
