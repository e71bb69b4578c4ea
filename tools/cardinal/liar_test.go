package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// liarKey tells the test binary, run as the demo's program, which lie to tell.
const liarKey = "DEMO_TEST_LIE"

// honestKey in its place runs the command as it is.
const honestKey = "honest"

// realKey holds the path of the program as it ships.
const realKey = "DEMO_TEST_REAL"

func TestMain(m *testing.M) {
	if lie := os.Getenv(liarKey); lie != "" {
		os.Exit(tellLies(lie))
	}
	testscript.Main(withProgram{m}, map[string]func(){"cardinal": main})
}

// withProgram removes the program that tests had built when they have run.
type withProgram struct{ m *testing.M }

func (w withProgram) Run() int {
	code := w.m.Run()
	if dir, err := shipped(false); err == nil && dir != "" {
		os.RemoveAll(dir)
	}
	return code
}

// shippedProgram builds the program as it ships, once, and returns its folder. Scripts and demos run
// that one: the test binary, built to find races, is many times slower than what people use.
func shippedProgram(t *testing.T) string {
	t.Helper()
	dir, err := shipped(true)
	if err != nil {
		t.Fatalf("building the program: %v", err)
	}
	return dir
}

// building makes the shipped program at most once for all tests.
var building struct {
	sync.Mutex
	dir string
	err error
}

func shipped(build bool) (string, error) {
	building.Lock()
	defer building.Unlock()
	if !build || building.dir != "" || building.err != nil {
		return building.dir, building.err
	}
	if building.dir, building.err = os.MkdirTemp("", "cardinal-program-"); building.err != nil {
		return "", building.err
	}
	command := exec.Command("go", "build", "-o", filepath.Join(building.dir, "cardinal"), ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		building.err = fmt.Errorf("%w\n%s", err, out)
	}
	return building.dir, building.err
}

// lies are changes of one answer on the wire, by name.
func lies() map[string]func(n int64, body []byte) []byte {
	return map[string]func(int64, []byte) []byte{
		"none": func(_ int64, body []byte) []byte { return body },
		"one bit of the first OCSP answer": func(n int64, body []byte) []byte {
			if n == 1 {
				body[len(body)/3] ^= 1
			}
			return body
		},
		"the second OCSP answer is the first again": replay(),
		"no OCSP answer after the third": func(n int64, body []byte) []byte {
			if n > 3 {
				return []byte{0x30, 0x03, 0x0a, 0x01, 0x03} // tryLater
			}
			return body
		},
	}
}

func replay() func(int64, []byte) []byte {
	var first []byte
	return func(n int64, body []byte) []byte {
		if n == 1 {
			first = bytes.Clone(body)
		}
		if n == 2 {
			return first
		}
		return body
	}
}

// tellLies is the test binary as the demo's program: serve stands behind a proxy at the address
// certificates name, every other command is the real one.
func tellLies(lie string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) < 2 || os.Args[1] != "serve" || lie == honestKey {
		real := os.Getenv(realKey)
		fmt.Fprintln(os.Stderr, syscall.Exec(real, append([]string{real}, os.Args[1:]...), os.Environ()))
		return 1
	}
	if err := serveBehindLiar(ctx, lies()[lie]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveBehindLiar(ctx context.Context, change func(int64, []byte) []byte) error {
	dir := os.Args[slices.Index(os.Args, "--dir")+1]
	config := folder(dir).config()
	c, err := readConfig(config)
	if err != nil {
		return err
	}
	front := strings.TrimPrefix(c.PublicURL, "http://")
	c.Listen.Status = "127.0.0.1:0"
	hidden, err := c.commented()
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, hidden, 0o600); err != nil {
		return err
	}
	command := exec.Command(os.Getenv(realKey), os.Args[1:]...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return err
	}
	var r ready
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	proxy, err := lyingProxy(r.Status, change)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", front)
	if err != nil {
		return err
	}
	go func() { _ = (&http.Server{Handler: proxy}).Serve(listener) }()
	r.Status = c.PublicURL
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	<-ctx.Done()
	_ = command.Process.Signal(syscall.SIGTERM)
	return command.Wait()
}

func lyingProxy(status string, change func(int64, []byte) []byte) (http.Handler, error) {
	target, err := url.Parse(status)
	if err != nil {
		return nil, err
	}
	var answers atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Header.Get("Content-Type") != "application/ocsp-response" {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body = change(answers.Add(1), body)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
		return nil
	}
	return proxy, nil
}

// TestDemoFailsWhenOneAnswerOnTheWireIsChanged runs the whole demo behind a proxy. With an honest
// proxy every step holds; each lie makes --once fail and a step say so.
func TestDemoFailsWhenOneAnswerOnTheWireIsChanged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for lie := range lies() {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			out, err := demoOnce(t, lie, filepath.Join(t.TempDir(), "d"))
			var last struct {
				Done, OK bool
				Refused  float64 `json:"refused_after_ms"`
			}
			if bad := json.Unmarshal([]byte(lastLine(out)), &last); bad != nil || !last.Done {
				t.Fatalf("the demo ended with %v and printed\n%s", err, out)
			}
			honest := lie == "none"
			if last.OK != honest || (err == nil) != honest {
				t.Errorf("ok is %v and the exit %v:\n%s", last.OK, err, out)
			}
			if honest && last.Refused <= 0 {
				t.Errorf("the refusal of the lost card was not measured:\n%s", out)
			}
			if !honest && !strings.Contains(out, `"ok":false`) {
				t.Errorf("no step says that it did not hold:\n%s", out)
			}
		})
	}
}

// demoOnce runs the whole demo in dir behind a proxy that tells the lie.
func demoOnce(t *testing.T, lie, dir string) (string, error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	command := exec.Command(program, "demo", "--once", "--json", "--people", "30", "--organisations", "5",
		"--dir", dir, "--program", program)
	command.Env = append(os.Environ(), liarKey+"="+lie, realKey+"="+filepath.Join(shippedProgram(t), "cardinal"))
	command.Stdout, command.Stderr = &out, io.Discard
	err = command.Run()
	return out.String(), err
}
