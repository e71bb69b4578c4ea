package main

import (
	"context"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
)

//go:embed node.yaml.tmpl
var nodeTemplate string

var (
	errFollowRole  = errors.New("a node that follows has the role read: give --role read")
	errOtherFolder = errors.New("holds an installation of its own: a read node needs a folder of its own")
)

// followFlags are serve's flags for a read node on a machine of its own.
type followFlags struct {
	urls             []string
	cert, key, trust string
	listen           map[string]string
	passphrase, dir  string
	role             string
	debug            bool
}

func (x *followFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&x.urls, "follow", nil, "feeds of writers elsewhere, https://host:port,…: serve a copy of theirs (role read)")
	f.StringVar(&x.cert, "cert", "", "this node's certificate, from cardinal node add (with --follow)")
	f.StringVar(&x.key, "key", "", "its key")
	f.StringVar(&x.trust, "trust", "", "PEM file of the installation's roots (default: trust.pem beside --cert)")
	f.StringToStringVar(&x.listen, "listen", nil, "where to listen, in place of what is configured, as in ldaps=0.0.0.0:636,status=0.0.0.0:80")
}

// apply puts what was said in place of what is configured.
func (x *followFlags) apply(c *Config) error {
	if len(x.urls) > 0 {
		c.Follow = FollowConfig{URLs: x.urls, Certificate: absolute(x.cert), Key: absolute(x.key), Trust: absolute(x.trust)}
	}
	if len(c.Follow.URLs) > 0 && c.Follow.Trust == "" {
		c.Follow.Trust = filepath.Join(filepath.Dir(c.Follow.Certificate), "trust.pem")
	}
	for name, address := range x.listen {
		to := c.Listen.of(name)
		if name == "feed" {
			to = &c.Feed.Listen
		}
		if to == nil {
			return usage("--listen "+name, errNoListener)
		}
		*to = address
	}
	if err := c.check(); err != nil {
		return usage("serve", err)
	}
	return nil
}

var errNoListener = errors.New("is none of ldap, ldaps, status, issuance, operations, feed")

// of gives the address of a listener by its key.
func (l *Listen) of(name string) *string {
	return map[string]*string{"ldap": &l.LDAP, "ldaps": &l.LDAPS, "status": &l.Status, "issuance": &l.Issuance, "operations": &l.Operations}[name]
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return full
}

// openServed opens the folder that is to be served: an installation, or a read node's, which is made if it is not there.
func (a *app) openServed(ctx context.Context, x *followFlags) (folder, Config, *follower, error) {
	dir := or(x.dir, a.env("CARDINAL_DIR"))
	if dir == "" {
		return "", Config{}, nil, usage("folder", errNoFolder)
	}
	f, config := folder(dir), Config{}.withDefaults()
	_, missing := os.Stat(f.config())
	if missing == nil || len(x.urls) == 0 {
		var err error
		if f, config, err = a.open(dir); err != nil {
			return f, config, nil, err
		}
	}
	if err := x.apply(&config); err != nil {
		return f, config, nil, err
	}
	if len(config.Follow.URLs) == 0 {
		return f, config, nil, nil
	}
	if x.role != "read" {
		return f, config, nil, usage("--role "+x.role, errFollowRole)
	}
	if _, err := os.Stat(f.path("ledger.db")); err == nil {
		return f, config, nil, usage("folder "+dir, errOtherFolder)
	}
	fw, err := newFollower(a, f, config)
	if err != nil {
		return f, config, nil, err
	}
	config, err = fw.takeConfiguration(ctx, config, missing != nil)
	return f, config, fw, err
}

// follower is a read node's way to its writer.
type follower struct {
	app      *app
	folder   folder
	client   *feed.Client
	identity *nodeIdentity
	roots    *x509.CertPool
	state    func() feed.Lease // set once there is a replica
	revision string            // of the writer's configuration this node began with; "" when it was out of reach
	taking   sync.Mutex        // held while a configuration is taken
	outdated atomic.Bool       // the writer has one that takes effect at the next start
	clock    atomic.Int64      // what this host's clock is put forward by, as time.Duration
}

// now is this node's clock.
func (fw *follower) now() time.Time { return fw.app.now().Add(time.Duration(fw.clock.Load())) }

func newFollower(a *app, f folder, config Config) (*follower, error) {
	fw := &follower{app: a, folder: f, state: func() feed.Lease { return feed.Lease{Version: programVersion()} }}
	var err error
	if fw.identity, err = readNodeIdentity(f, config.Follow); err != nil {
		return nil, usage("reading this node's certificate", err)
	}
	secure, err := fw.identity.tlsConfig(f.path(config.Follow.Trust))
	if err != nil {
		return nil, usage("trust", err)
	}
	fw.roots = secure.RootCAs
	fw.clock.Store(int64(config.Demo.Clock))
	secure.Time = fw.now
	fw.client, err = feed.NewClient(feed.ClientConfig{URLs: config.Follow.URLs, TLS: secure, Now: secure.Time, Logger: a.logger(slog.LevelInfo),
		Lease: func() feed.Lease { return fw.state() }})
	return fw, err
}

// takeConfiguration asks the writer how the directory is shaped; one that is out of reach leaves what it said last. A
// folder that is new is made once the writer has answered.
func (fw *follower) takeConfiguration(ctx context.Context, local Config, fresh bool) (Config, error) {
	said, err := fw.askConfiguration(ctx)
	if err == nil {
		if err := makeFolders(string(fw.folder), fw.folder.keys(), filepath.Dir(fw.folder.replica())); err != nil {
			return local, err
		}
		if err := said.store(fw.folder); err != nil {
			return local, err
		}
		fw.revision = said.Revision
	} else if _, missing := os.Stat(fw.folder.sharedConfig()); errors.Is(missing, fs.ErrNotExist) || errors.Is(err, journal.ErrRefused) {
		return local, followProblem(err)
	} else {
		fw.app.logger(slog.LevelInfo).Warn("the writer is out of reach: answering from what this node has", "why", err)
	}
	from, err := readConfig(fw.folder.sharedConfig())
	if err != nil {
		return local, err
	}
	if fresh {
		local.Limits = from.Limits
		if err := writeNodeConfig(fw.folder, local); err != nil {
			return local, err
		}
	}
	local = local.adopt(from)
	fw.clock.Store(int64(local.Demo.Clock))
	return local, nil
}

// followProblem gives what stands between this node and its writer the exit code of its kind.
func followProblem(err error) error {
	if errors.Is(err, journal.ErrRefused) {
		return refused("following", err)
	}
	return unreachable("following", err)
}

func (fw *follower) askConfiguration(ctx context.Context) (*shared, error) {
	data, err := fw.client.Get(ctx, "/v1/configuration", maxShared)
	if err != nil {
		return nil, err
	}
	var said shared
	if err := json.Unmarshal(data, &said); err != nil {
		return nil, err
	}
	_, err = parseConfig([]byte(said.Config))
	return &said, err
}

// writeNodeConfig writes a read node's cardinal.yaml.
func writeNodeConfig(f folder, c Config) error {
	t, err := template.New("node.yaml").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(nodeTemplate)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := t.Execute(&b, c); err != nil {
		return err
	}
	return replaceFile(f.config(), []byte(b.String()))
}

// programVersion is what this program was built from.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version
}
