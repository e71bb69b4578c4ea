package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cardinal/ca"
	"cardinal/certs/nodes"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

func nodeCommand(a *app) *cobra.Command {
	return parent("node", "Read nodes on other machines: add, list, disable", "  cardinal node add edge-1 --dir cards --scope edge --host ldap.edge-1.example.org",
		nodeAdd(a), nodeCertify(a), nodeList(a), nodeDisable(a))
}

// newNode is a node's certificate being asked for.
type newNode struct {
	a          *app
	dir        string
	passphrase string
	out        string
	csr        string
	scope      string
	node       feed.Node
	known      bool // it was added before
	issuer     *x509.Certificate
	folder     folder
	config     Config
}

func nodeAdd(a *app) *cobra.Command {
	n := &newNode{a: a}
	c := &cobra.Command{Use: "add NAME", Short: "Enrol a read node and make its key and certificate", Args: cobra.ExactArgs(1),
		Long: `Run it on the writer's machine, with the passphrase of the CA's keys; serve may run meanwhile. It leaves
node.key, node.cer and trust.pem in --out: carry them to the other machine by a way nobody reads, and
start the node there with the command it prints. With --csr the key stays where it was made.

Scopes: central receives everything that travels, password verifiers too; edge receives no password
verifiers, so nobody signs in there with a password. A name is given once for ever.`,
		Example: "  cardinal node add edge-1 --dir cards --scope edge --host ldap.edge-1.example.org --out edge-1",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			n.node.Name = args[0]
			if n.node.Scope, err = feed.ParseScope(n.scope); err != nil {
				return usage("--scope", err)
			}
			return failing("node add", n.enrol(cmd.Context()))
		}}
	n.flags(c)
	c.Flags().StringVar(&n.scope, "scope", string(feed.Central), "what it may receive: central or edge")
	c.Flags().StringArrayVar(&n.node.Hosts, "host", nil, "DNS name or address its LDAPS certificate is for; may be repeated")
	return c
}

func nodeCertify(a *app) *cobra.Command {
	n := &newNode{a: a, known: true}
	c := &cobra.Command{Use: "certify NAME", Short: "Make another certificate for a node that was added before", Args: cobra.ExactArgs(1),
		Long: `A node renews its certificate itself while it follows. This is for one that was away until its
certificate ended, or lost its key.`,
		Example: "  cardinal node certify edge-1 --dir cards --out edge-1-again",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.node.Name = args[0]
			return failing("node certify", n.enrol(cmd.Context()))
		}}
	n.flags(c)
	return c
}

func (n *newNode) flags(c *cobra.Command) {
	dirFlag(c, &n.dir)
	passphraseFlag(c, &n.passphrase)
	c.Flags().StringVar(&n.out, "out", "", "new folder for its files (default: NAME)")
	c.Flags().StringVar(&n.csr, "csr", "", "PEM certification request, in place of a new key")
}

// enrolled is what node add prints.
type enrolled struct {
	Node        string   `json:"node"`
	Scope       string   `json:"scope"`
	Hosts       []string `json:"hosts"`
	Certificate string   `json:"certificate"`
	Key         string   `json:"key,omitempty"`
	Trust       string   `json:"trust"`
	Ends        string   `json:"ends"`
	Next        string   `json:"next"`
}

// enrol issues the certificate and leaves the files. What needs no key is checked before the passphrase is asked for.
func (n *newNode) enrol(ctx context.Context) (err error) {
	if err := nodes.CheckName(n.node.Name); err != nil {
		return usage("node", err)
	}
	f, config, err := n.a.open(n.dir)
	if err != nil {
		return err
	}
	out := or(n.out, n.node.Name)
	pub, key, err := n.key()
	if err != nil {
		return err
	}
	w, err := n.a.issuingSide(ctx, f, config, n.passphrase)
	if err != nil {
		return err
	}
	defer closeInto(&err, w.ledger)
	if err := makeEmpty(out); err != nil {
		return err
	}
	leaf, err := w.certifyNode(ctx, n, pub)
	if err != nil {
		os.Remove(out) // only if it is empty
		return err
	}
	n.folder, n.config = f, config
	return n.write(out, leaf, key)
}

// issuingSide opens a folder's write side for one command.
func (a *app) issuingSide(ctx context.Context, f folder, config Config, passphrase string) (*writeSide, error) {
	pass, err := a.passphrase(passphrase, false)
	if err != nil {
		return nil, err
	}
	set, err := loadPolicies(f, config)
	if err != nil {
		return nil, err
	}
	directory, err := loadDirectory(f, config)
	if err != nil {
		return nil, err
	}
	l, err := a.openLedger(ctx, f, config)
	if err != nil {
		return nil, err
	}
	w, err := a.writeSide(writeSideOf{folder: f, config: config, ledger: l, policies: set, keys: signersOf(f, config, pass), directory: directory, now: a.clock(config)})
	if err == nil {
		err = w.openKeys(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return w, nil
}

// key gives the key to be certified, and its private part if it is made here.
func (n *newNode) key() (crypto.PublicKey, *ecdsa.PrivateKey, error) {
	if n.csr == "" {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return key.Public(), key, nil
	}
	data, err := os.ReadFile(n.csr)
	if err != nil {
		return nil, nil, usage("--csr", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, nil, usage("--csr "+n.csr, errNoRequest)
	}
	pub, err := policies.ProveCSR(block.Bytes)
	return pub, nil, err
}

var errNoRequest = errors.New("is no certification request in PEM")

// certifyNode issues a node's client certificate and binds it to the node, which is added with it if it is new.
func (w *writeSide) certifyNode(ctx context.Context, n *newNode, pub crypto.PublicKey) (*x509.Certificate, error) {
	order := ca.Order{Issuer: ca.Services, Request: policies.Request{Profile: policies.ProfileClient, PublicKey: pub,
		Subject: policies.Subject{CommonName: n.node.Name}}, Holder: n.node.Name}
	issued, _, err := w.authority.Issue(ctx, []ca.Order{order}, func(tx *ledger.Tx, made []ca.Issued) error {
		if !n.known {
			if err := nodes.Add(tx, n.node); err != nil {
				return err
			}
		}
		return nodes.Bind(tx, n.node.Name, made[0].Ref, made[0].Certificate.Raw)
	})
	if err != nil {
		return nil, nodeProblem(n.node.Name, err)
	}
	n.issuer = w.authority.ByKey(issued[0].Ref.Issuer)
	return issued[0].Certificate, w.ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		n.node, err = nodes.Find(tx, n.node.Name)
		return err
	})
}

// nodeProblem gives what is wrong with a node's name its exit code.
func nodeProblem(name string, err error) error {
	for _, known := range []error{nodes.ErrTaken, nodes.ErrUnknown, nodes.ErrDisabled} {
		if errors.Is(err, known) {
			return refused("node "+name, known)
		}
	}
	return err
}

func (n *newNode) write(out string, leaf *x509.Certificate, key *ecdsa.PrivateKey) error {
	f, config := n.folder, n.config
	made := enrolled{Node: n.node.Name, Scope: string(n.node.Scope), Hosts: n.node.Hosts, Ends: leaf.NotAfter.Format("2006-01-02"),
		Certificate: filepath.Join(out, "node.cer"), Trust: filepath.Join(out, "trust.pem")}
	trust, err := os.ReadFile(f.trust())
	if err != nil {
		return err
	}
	chain := append(pemBlock("CERTIFICATE", leaf.Raw), pemBlock("CERTIFICATE", n.issuer.Raw)...)
	if err := errors.Join(os.WriteFile(made.Certificate, chain, 0o600), os.WriteFile(made.Trust, trust, 0o600)); err != nil {
		return err
	}
	if key != nil {
		made.Key = filepath.Join(out, "node.key")
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := os.WriteFile(made.Key, pemBlock("PRIVATE KEY", private), 0o600); err != nil {
			return err
		}
	}
	made.Next = fmt.Sprintf("cardinal serve --role read --dir %s-node --follow %s --cert %s --key %s",
		n.node.Name, feedURL(f, config), made.Certificate, or(made.Key, "KEY"))
	if config.Feed.Listen == "" {
		n.a.say("nobody can follow yet: set feed.listen in %s and start serve again", f.config())
	}
	return n.a.printJSON(made)
}

// feedURL is where this installation's feed is, as far as can be told.
func feedURL(f folder, config Config) string {
	if r, err := readReady(string(f)); err == nil && r.Feed != "" {
		return r.Feed
	}
	if config.Feed.Listen == "" {
		return "https://WRITER:PORT"
	}
	return "https://" + config.Feed.Listen
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
