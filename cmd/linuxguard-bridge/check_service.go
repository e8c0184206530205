package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
)

// unitName is the packaged service and its socket unit.
const unitName = "linuxguard-bridge"

// Where root finds credentials outside of the service: systemd shows those of a running one (systemd.exec(5)), and the
// packaged unit loads them from the other.
const (
	whileRunning = "/run/credentials/" + unitName + ".service"
	loadedFrom   = "/etc/" + unitName + "/credentials"
)

// host is what check asks of the machine that it runs on.
type host struct {
	systemctl func(ctx context.Context, args ...string) ([]byte, error)
	become    func(u *user.User, group string, more []string) error // for good
}

// thisHost is the real one.
func thisHost() *host { return &host{systemctl: systemctl, become: become} }

func systemctl(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return exec.CommandContext(ctx, "systemctl", args...).Output() //nolint:gosec // the arguments are this program's
}

// become makes this process one of the user u, with the groups that systemd gives a service. There is no way back.
func become(u *user.User, group string, more []string) error {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		u.Gid = g.Gid
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return err
	}
	for _, name := range more {
		g, err := user.LookupGroup(name)
		if err != nil {
			return err
		}
		ids = append(ids, g.Gid)
	}
	groups := []int{gid}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			groups = append(groups, n)
		}
	}
	return errors.Join(syscall.Setgroups(groups), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
}

// judge is as whom a configuration is judged.
type judge struct {
	unit     *systemd.Unit // nil: as this process
	problems []config.Problem
	as       string // a line for people
}

// asService makes l judge as the service will find things, as far as that can be known, and this process the service's user. It reads what
// root alone can read first. A probe needs real secrets: no made-up ones then.
func (g *globals) asService(ctx context.Context, l *bridge.Loader, pretend bool) *judge {
	outside := secret.NewOutsideResolver
	if pretend {
		outside = secret.NewCheckResolver
	}
	l.Secrets = outside(l.Getenv, whileRunning, loadedFrom)
	us, _ := permission.Us()
	unit, err := g.unit(ctx)
	if errors.Is(err, systemd.ErrNoUnit) {
		l.Unmanaged = true
		return &judge{as: fmt.Sprintf("judged as %s: the service %s is not installed here, so its user, credentials and sandbox are not known", us, unitName)}
	}
	if err != nil {
		return &judge{as: fmt.Sprintf("judged as %s, not as the service will find it: %v", us, err)}
	}
	service, err := user.Lookup(unit.User)
	if err != nil {
		return &judge{as: fmt.Sprintf("judged as %s, not as the service will find it: %s runs as %s, a user that does not exist here", us, unit.Name, unit.User)}
	}
	root := os.Geteuid() == 0
	if !root && service.Username != us {
		return &judge{as: fmt.Sprintf("judged as %s, not as the service's user %s: permissions and secrets may differ, so run it as root", us, unit.User)}
	}
	j := &judge{unit: unit, as: fmt.Sprintf("judged as %s will find it, with its user (%s), its credentials and its sandbox", unit.Name, unit.User)}
	handed := j.credentials(unit, root)
	if root && service.Uid != "0" {
		if err := g.Host.become(service, unit.Group, unit.Groups); err != nil {
			return &judge{as: fmt.Sprintf("judged as %s, not as the service will find it: becoming %s: %v", us, unit.User, err)}
		}
	}
	l.Getenv, l.Service, l.MemoryLimit, l.SocketUnit = unit.Env, unit, unit.MemoryHigh, unit.Socket
	if unit.HasEnvFiles { // whose variables systemctl doesn't show
		l.Getenv = func(name string) string {
			if value := unit.Env(name); value != "" {
				return value
			}
			return g.Getenv(name)
		}
	}
	l.Secrets = secret.NewServiceResolver(secret.Handed{Credentials: handed, Getenv: l.Getenv, MoreEnv: unit.HasEnvFiles}, pretend)
	return j
}

// unit asks for the packaged service. Inside of a service (ExecStartPre=) there is nothing to ask.
func (g *globals) unit(ctx context.Context) (*systemd.Unit, error) {
	if g.Host == nil {
		return nil, systemd.ErrNoUnit
	}
	if g.Getenv("CREDENTIALS_DIRECTORY") != "" {
		return nil, errors.New("$CREDENTIALS_DIRECTORY is set, and what is there is used")
	}
	unit, err := systemd.ShowUnit(ctx, unitName, g.Host.systemctl)
	if err == nil && unit.User == "" {
		unit.User = "root"
	}
	return unit, err
}

// runs reports whether the unit runs the bridge with the file at path: others, such as drafts, need not be the service's to read.
func (j *judge) runs(path string) bool {
	absolute, err := filepath.Abs(path)
	return err == nil && j.unit != nil && slices.Contains(strings.Fields(j.unit.Command), absolute)
}

func (j *judge) problem(severity config.Severity, file, text, hint string) {
	j.problems = append(j.problems, config.Problem{Severity: severity, File: file, Text: text, Hint: hint})
}

// credentials reads what the manager would hand over, and says where that can't work: then the service does not even begin.
func (j *judge) credentials(unit *systemd.Unit, root bool) map[string]secret.Credential {
	handed := map[string]secret.Credential{}
	for _, name := range unit.OtherCredentials {
		handed[name] = secret.Credential{Unseen: true}
	}
	for _, name := range slices.Sorted(maps.Keys(unit.LoadCredential)) {
		from := unit.LoadCredential[name]
		info, err := os.Stat(from)
		switch {
		case !filepath.IsAbs(from), err == nil && !info.Mode().IsRegular(), err != nil && !root && !errors.Is(err, fs.ErrNotExist):
			handed[name] = secret.Credential{Unseen: true} // a folder, a socket, the system's own, or out of our reach
			continue
		}
		clear, err := os.ReadFile(from) //nolint:gosec // the unit names it
		if err != nil && !root && !errors.Is(err, fs.ErrNotExist) {
			handed[name] = secret.Credential{Unseen: true}
			continue
		}
		if err != nil {
			err = fmt.Errorf("the service manager can't load it from %s: %w; without it the service does not start (243/CREDENTIALS)", from, permission.Reason(err))
			j.problem(config.Error, unit.Name, fmt.Sprintf("credential %s: %v", name, err), "put it there, or take the LoadCredential= out: systemctl edit "+unitName)
		}
		handed[name] = secret.Credential{Clear: string(clear), Err: err}
		running, err := os.ReadFile(filepath.Join(whileRunning, name)) //nolint:gosec // a folder of systemd's
		if err == nil && handed[name].Err == nil && string(running) != string(clear) {
			j.problem(config.Warning, unit.Name, fmt.Sprintf("credential %s: the running service still has another one than %s, which was used here", name, from),
				"systemctl restart "+unitName)
		}
	}
	return handed
}

// add puts what the unit itself has wrong before what the file has, unless the file's problems say it already.
func (j *judge) add(report *config.Report) {
	var mine []config.Problem
	for _, p := range j.problems {
		name, _, _ := strings.Cut(strings.TrimPrefix(p.Text, "credential "), ":")
		said := p.Severity == config.Error && slices.ContainsFunc(report.Problems, func(q config.Problem) bool { return strings.Contains(q.Text, "secret credential:"+name+":") })
		if !said {
			mine = append(mine, p)
		}
	}
	report.Problems = append(mine, report.Problems...)
}

// unreadable reports those of the service's own files that its user can't read; this process is that user by now.
func (j *judge) unreadable(files []config.File) {
	if len(files) == 0 || !j.runs(files[0].Name) {
		return
	}
	for _, f := range files {
		if err := j.unit.CanRead(f.Name); err != nil {
			j.problem(config.Error, f.Name, err.Error(), "")
		}
		if remedy := permission.Remedy(f.Name, permission.Read); remedy != "" {
			j.problem(config.Error, f.Name, "the service can't read this file", remedy)
		}
	}
}
