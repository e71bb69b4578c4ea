package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

func accessReloadCommand(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "reload", Short: "Put changed access rules and limits in force", Args: cobra.NoArgs,
		Long: `Has the process that serves the folder read its access rules anew, and directory.limits of
cardinal.yaml. They hold for every request that begins afterwards. Whoever follows changes and may
see something else now is sent to begin again. A mistake changes nothing: the old rules stay in
force, and the command tells what is wrong. What else has changed in cardinal.yaml waits for a
restart. A hangup signal (SIGHUP) to the process does the same and tells its log.`,
		Example: "  cardinal access check --dir cards && cardinal access reload --dir cards",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, _, err := a.open(dir)
			if err != nil {
				return err
			}
			if err := f.askReload(cmd.Context()); err != nil {
				return failing("access reload", err)
			}
			return a.print(struct {
				OK bool `json:"ok"`
			}{true}, func(w io.Writer) { row(w, "in force") })
		}}
	dirFlag(c, &dir)
	return c
}

// accessPath is where a serving process is asked to, on the socket of its folder.
const accessPath = "/access"

var errRulesStay = errors.New("the rules in force stay")

func (f folder) askReload(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", f.replicaSocket())
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://folder"+accessPath, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking the serving process to read its rules: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errRulesStay, strings.TrimSpace(string(text)))
}

func (n *node) answerReload(w http.ResponseWriter, _ *http.Request) {
	if err := n.reloadAccess(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// reloadOnHangup reads the rules anew at each hangup signal.
func (n *node) reloadOnHangup(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-hangups:
			_ = n.reloadAccess() // the log says what became of it
		case <-ctx.Done():
			return nil
		}
	}
}

// reloadAccess puts the rules and limits that the folder holds now in force, here and on the nodes that follow, or leaves
// those that are. A read node has its rules from its writer, and asks that.
func (n *node) reloadAccess() error {
	var err error
	if n.follower != nil {
		ctx, cancel := context.WithTimeout(context.Background(), reloadPatience)
		defer cancel()
		err = n.takeUp(ctx)
	} else {
		err = n.readAccess()
	}
	if err != nil {
		n.logger.Error("reading access rules anew: those in force stay", "error", err)
		return err
	}
	n.logger.Info("access rules and limits were read anew")
	return nil
}

// reloadPatience is how long a read node waits for its writer when it is told to read its rules anew.
const reloadPatience = 20 * time.Second

func (n *node) readAccess() error {
	config, err := readConfig(n.folder.config())
	if err != nil {
		return err
	}
	rules, limits, err := config.Directory.terms(n.folder, n.directory.schema)
	if err == nil && n.answering != nil {
		err = n.answering.SetTerms(rules, limits)
	}
	if err != nil || n.feed == nil {
		return err
	}
	in := n.config // the rest waits for a restart
	in.Directory.Rules, in.Directory.Limits = config.Directory.Rules, config.Directory.Limits
	return n.share(in)
}

// terms reads access rules and limits, and reports every problem.
func (c DirectoryConfig) terms(f folder, schema *directory.Schema) (*directory.Rules, []ldap.Allowance, error) {
	text := []byte(directory.DefaultRules)
	var problems []error
	if c.Rules != "" {
		var err error
		if text, err = os.ReadFile(f.path(c.Rules)); err != nil {
			return nil, nil, fmt.Errorf("reading the access rules: %w", err)
		}
	}
	rules, err := schema.ParseRules(text)
	problems = append(problems, err)
	limits, err := c.allowances(schema)
	return rules, limits, errors.Join(append(problems, err)...)
}
