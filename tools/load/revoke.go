package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cardinal/issuance/api"
)

// revokes cancels one card after another and looks at when each responder knows.
type revokes struct {
	installation
	operator string
	from, n  int
	lists    int
	nodes    []string // NAME=URL, besides the one that writes
	pause    time.Duration
	label    string

	client *api.Client
	at     addresses
	askers []*asker
	disk   *os.File
	page   []byte
}

const thisNode = "this node"

func revokeCommand(out io.Writer) *cobra.Command {
	r := &revokes{}
	c := &cobra.Command{Use: "revoke", Short: "Cancel cards one by one, and measure when OCSP says so", Args: cobra.NoArgs,
		Long: `For each card a client asks OCSP about its authentication certificate without pause, on each node; once
it is told to be good everywhere, the card is cancelled over the issuance port. Measured are the cancel
itself, from sending it to the first "revoked" at each node, and, alternating with the cancels, what a
bare write of 4 KiB and fsync costs on the same disk. A "good" to a question that was asked after the
cancel returned (on a node that follows: after its first "revoked") is wrong and ends it with 1. In the
end a few more are cancelled to see when the list of their shard can be fetched with the serial on it.`,
		Example: "  load revoke --folder cards --operator staff/security-0.pem --cards 300",
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := r.run(cmd.Context())
			return errors.Join(err, printFigures(out, found))
		}}
	r.installation.flags(c)
	f := c.Flags()
	f.StringVar(&r.operator, "operator", "staff/security-0.pem", "PEM file of who cancels")
	f.IntVar(&r.from, "from", 0, "the first card's number, as load seed gave them")
	f.IntVar(&r.n, "cards", 300, "how many")
	f.IntVar(&r.lists, "lists", 5, "how many more, to see them listed")
	f.StringArrayVar(&r.nodes, "node", nil, "NAME=URL of a node that follows; may be repeated")
	f.DurationVar(&r.pause, "pause", 0, "what a client waits between an answer and its next question")
	f.StringVar(&r.label, "label", "", "what to call this run")
	return c
}

// cancelled is what one cancel came to.
type cancelled struct {
	cancel time.Duration
	seen   []time.Duration // by node, from sending
	sights []sight
}

func (r *revokes) run(ctx context.Context) ([]figure, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	defer r.close()
	t := &tally{seen: make([][]time.Duration, len(r.askers))}
	for i := range r.n {
		for range 2 {
			took, err := r.sync()
			if err != nil {
				return nil, err
			}
			t.syncs = append(t.syncs, took)
		}
		one, err := r.cancel(ctx, cardNumber(r.from+i))
		if err != nil {
			return t.figures(r), fmt.Errorf("card %d of %d: %w", i+1, r.n, err)
		}
		t.add(one)
	}
	for i := range r.lists {
		took, err := r.listed(ctx, cardNumber(r.from+r.n+i))
		if err != nil {
			return t.figures(r), err
		}
		t.lists = append(t.lists, took)
	}
	var err error
	if t.wrong > 0 {
		err = fmt.Errorf("%w: %d said good", errNotRight, t.wrong)
	}
	return t.figures(r), err
}

func (r *revokes) prepare() (err error) {
	if r.at, err = r.addresses(); err != nil {
		return err
	}
	names, urls := []string{thisNode}, map[string]string{thisNode: r.at.Status}
	for _, node := range r.nodes {
		name, url, ok := strings.Cut(node, "=")
		if !ok {
			return fmt.Errorf("--node %s: want NAME=URL", node)
		}
		names = append(names, name)
		urls[name] = url
	}
	if r.askers, err = askersOf(&r.installation, names, urls, r.pause); err != nil {
		return err
	}
	if r.disk, err = os.OpenFile(filepath.Join(r.folder, "..", "load-fsync"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	r.page = make([]byte, 4096)
	r.client, err = r.installation.client(r.operator)
	return err
}

func (r *revokes) close() {
	if r.client != nil {
		r.client.Close()
	}
	for _, a := range r.askers {
		_ = a.Close()
	}
	_ = r.disk.Close()
	_ = os.Remove(r.disk.Name())
}

// sync is what any durable write costs at least.
func (r *revokes) sync() (time.Duration, error) {
	begun := time.Now()
	if _, err := r.disk.Write(r.page); err != nil {
		return 0, err
	}
	err := r.disk.Sync()
	return time.Since(begun), err
}

// question is about a card's authentication certificate.
func (r *revokes) question(ctx context.Context, card string) (q ocspQuery, err error) {
	c, err := r.client.Card(ctx, card)
	if err != nil {
		return q, err
	}
	return r.installation.question(r.at.Status, c.Serials.Authentication)
}

// question is about a certificate of the authentication CA by its serial in hex.
func (i *installation) question(responder, serial string) (ocspQuery, error) {
	l, issuer, err := i.questions(responder, "authentication")
	if err != nil {
		return ocspQuery{}, err
	}
	number, ok := new(big.Int).SetString(serial, 16)
	if !ok {
		return ocspQuery{}, wrong("%q is no serial", serial)
	}
	return l.question(&x509.Certificate{SerialNumber: number, RawIssuer: issuer.RawSubject}, []*x509.Certificate{issuer})
}

// longest is how long a responder may need to hear of it before that is an error.
const longest = 60 * time.Second

// linger is how long each goes on asking after it was told.
const linger = 20 * time.Millisecond

// cancel cancels one card while everybody asks about it.
func (r *revokes) cancel(ctx context.Context, card string) (one cancelled, err error) {
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	v := make([]*revocation, len(r.askers))
	one.sights, one.seen = make([]sight, len(v)), make([]time.Duration, len(v))
	query, err := r.question(ctx, card)
	if err != nil {
		return one, err
	}
	good := make(chan struct{}, len(v))
	g, watching := errgroup.WithContext(ctx)
	for i, a := range r.askers {
		v[i] = &revocation{query: query, binding: a.name == thisNode}
		g.Go(func() (err error) {
			one.sights[i], err = a.watch(watching, v[i], func() { good <- struct{}{} }, linger)
			return err
		})
	}
	for range v {
		select {
		case <-good:
		case <-watching.Done():
			return one, errors.Join(g.Wait(), ctx.Err())
		}
	}
	time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond) // in no step with anything
	sent := time.Now()
	if _, err := r.client.Cancel(ctx, card, api.CancelCard{Reason: "lost"}); err != nil {
		stop()
		return one, errors.Join(err, g.Wait())
	}
	returned := time.Now()
	one.cancel = returned.Sub(sent)
	for i := range v {
		v[i].returned.Store(&returned)
	}
	err = g.Wait()
	for i, s := range one.sights {
		one.seen[i] = s.revoked.Sub(sent)
	}
	return one, err
}

// tally gathers what was measured.
type tally struct {
	cancels, syncs, lists []time.Duration
	seen                  [][]time.Duration // by node
	asked, wrong, later   int
}

func (t *tally) add(one cancelled) {
	t.cancels = append(t.cancels, one.cancel)
	for i, s := range one.sights {
		t.seen[i] = append(t.seen[i], one.seen[i])
		t.asked, t.wrong, t.later = t.asked+s.asked, t.wrong+s.wrong, t.later+s.later
	}
}

// figures judges by the goals: on the node that writes three bare writes of
// this run and 5 ms, on each other a second, a list within 15 s.
func (t *tally) figures(r *revokes) []figure {
	syncs := timesOf("bare write and fsync", r.label, t.syncs)
	all := []figure{syncs, timesOf("cancel returned", r.label, t.cancels)}
	for i, a := range r.askers {
		where := strings.TrimPrefix(r.label+", "+a.name, ", ")
		f := timesOf("sending to revoked", where, t.seen[i])
		if a.name == thisNode {
			f = f.atMost(3*syncs.P99 + 5)
		} else {
			f = f.atMost(1000)
		}
		if len(r.askers) > 1 {
			f = f.counted(t.seen[i])
		}
		all = append(all, f)
	}
	if len(t.lists) > 0 {
		all = append(all, timesOf("sending to listed", r.label, t.lists).atMost(15_000))
	}
	return append(all, valueOf("questions asked", "", float64(t.asked)), valueOf("good when it was too late", "", float64(t.wrong)).atMost(0),
		valueOf("answers without a status", "", float64(t.later)).atMost(0))
}
