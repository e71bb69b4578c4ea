// Package pgtest runs a throwaway PostgreSQL for tests: one server for each test binary, started by the first test that
// asks, with fsync on, on a Unix socket nobody else knows, as an unprivileged user. It ends with the test binary however
// that ends, because its keeper waits on a pipe that only the test binary holds open.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is for a machine under load; starting takes 1.5 s on an idle one.
const patience = 3 * time.Minute

// errMissing: the programs are not installed.
var errMissing = errors.New("postgres is not installed")

// server is a running server, by its folder.
type server struct {
	folder string // holds data, the socket and the log
	count  atomic.Int64
	alive  io.Closer // the keeper's pipe; were it collected, the server would end
}

// shared is this test binary's server: the one piece of state, so that tests need no TestMain.
var shared = sync.OnceValues(start)

// URL is a fresh, empty database, dropped when the test ends: a schema of its own in the server's one database, because
// making a database takes 300 ms and a schema 3. The test is skipped under -short and where PostgreSQL's programs are
// missing.
func URL(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	s, err := shared()
	if errors.Is(err, errMissing) {
		t.Skipf("needs %s: apt-get install -y %s", "postgres", "postgresql-15")
	}
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("t%d", s.count.Add(1))
	if err := s.admin("CREATE SCHEMA " + name); err != nil {
		t.Fatalf("creating a schema: %v", err)
	}
	t.Cleanup(func() {
		if err := s.admin("DROP SCHEMA " + name + " CASCADE"); err != nil {
			t.Errorf("dropping a schema: %v", err)
		}
	})
	return s.url() + "&search_path=" + name
}

// Own is a database on a server of the test's own, which stop ends at once, as a crash would. It ends with the test.
func Own(t testing.TB) (databaseURL string, stop func()) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	s, err := start()
	if errors.Is(err, errMissing) {
		t.Skipf("needs %s: apt-get install -y %s", "postgres", "postgresql-15")
	}
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	stop = func() {
		_ = s.alive.Close() // the keeper then ends the server and removes its folder
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(s.folder); err != nil {
				return
			}
		}
		t.Errorf("PostgreSQL in %s did not end", s.folder)
	}
	t.Cleanup(stop)
	return s.url(), stop
}

// Socket is the path of the Unix socket behind a URL of this package, for tests that stand between client and server.
func Socket(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return ""
	}
	return filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
}

func (s *server) url() string {
	return "postgres://app@/postgres?sslmode=disable&host=" + url.QueryEscape(s.folder)
}

func (s *server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}

// programs finds the newest installed server's folder of programs.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return major(a) - major(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errMissing
}

func major(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// keeper runs the server until its standard input ends, then stops it and removes the folder.
const keeper = `"$1" -D "$2/data" >>"$2/log" 2>&1 </dev/null &
server=$!
read -r _
kill -QUIT $server 2>/dev/null
wait $server
rm -rf "$2"
`

const settings = `
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 200
shared_buffers = 64MB
fsync = on
synchronous_commit = on
full_page_writes = on
`

func start() (*server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	identity, err := unprivileged()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	if err := prepare(bin, folder, identity); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	s := &server{folder: folder}
	keep := exec.Command("/bin/sh", "-c", keeper, "keeper", filepath.Join(bin, "postgres"), folder)
	// A group of its own: an interrupt at the terminal must not end the keeper before the server.
	keep.SysProcAttr = &syscall.SysProcAttr{Credential: identity, Setpgid: true}
	keep.Dir = folder
	if s.alive, err = keep.StdinPipe(); err != nil {
		return nil, err
	}
	if err := keep.Start(); err != nil {
		return nil, err
	}
	return s, s.await()
}

// unprivileged is whom the server runs as: PostgreSQL refuses root. Nil is who we are.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("running as root, and there is neither a user postgres nor nobody")
}

func prepare(bin, folder string, identity *syscall.Credential) error {
	if identity != nil {
		if err := os.Chown(folder, int(identity.Uid), int(identity.Gid)); err != nil {
			return err
		}
	}
	if err := os.Chmod(folder, 0o755); err != nil { // the tests themselves may run as someone else
		return err
	}
	data := filepath.Join(folder, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: identity}
	initdb.Dir = folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(settings + "unix_socket_directories = '" + folder + "'\n")
	return errors.Join(err, f.Close())
}

func (s *server) await() error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = s.admin("SELECT 1"); err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
	return fmt.Errorf("%w: %s", err, log)
}
