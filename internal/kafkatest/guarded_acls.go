package kafkatest

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SetPassword makes a user of SCRAM, which the broker keeps itself (KIP-554), or gives it another password.
func (g *Guarded) SetPassword(t testing.TB, user, password string) {
	t.Helper()
	for mechanism, h := range map[int8]struct {
		new  func() hash.Hash
		size int
	}{1: {sha256.New, sha256.Size}, 2: {sha512.New, sha512.Size}} {
		const iterations = 4096
		salt := make([]byte, 16)
		_, _ = rand.Read(salt) // never fails
		salted, err := pbkdf2.Key(h.new, password, salt, iterations, h.size)
		if err != nil {
			t.Fatal(err)
		}
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = user, mechanism, iterations, salt, salted
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest() // one of each user, whatever the mechanism
		req.Upsertions = append(req.Upsertions, u)
		g.admin(t, "setting the password of "+user, func(ctx context.Context, cl *kgo.Client) error {
			resp, err := req.RequestWith(ctx, cl)
			if err != nil {
				return err
			}
			return kerr.ErrorForCode(resp.Results[0].ErrorCode)
		})
	}
}

// ACL is a right of kafka-acls.sh.
type ACL struct {
	Kind      kmsg.ACLResourceType
	Name      string // of the resource
	Prefixed  bool   // Name is what the names begin with
	Operation kmsg.ACLOperation
}

func (a ACL) pattern() kmsg.ACLResourcePatternType {
	if a.Prefixed {
		return kmsg.ACLResourcePatternTypePrefixed
	}
	return kmsg.ACLResourcePatternTypeLiteral
}

// Allow grants a user rights, and returns when the broker goes by them.
func (g *Guarded) Allow(t testing.TB, user string, rights ...ACL) {
	t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, right := range rights {
		acl := kmsg.NewCreateACLsRequestCreation()
		acl.ResourceType, acl.ResourceName, acl.ResourcePatternType = right.Kind, right.Name, right.pattern()
		acl.Principal, acl.Host, acl.PermissionType = "User:"+user, "*", kmsg.ACLPermissionTypeAllow
		acl.Operation = right.Operation
		req.Creations = append(req.Creations, acl)
	}
	g.admin(t, "granting rights", func(ctx context.Context, cl *kgo.Client) error {
		resp, err := req.RequestWith(ctx, cl)
		for i := 0; err == nil && i < len(resp.Results); i++ {
			err = kerr.ErrorForCode(resp.Results[i].ErrorCode)
		}
		if err != nil {
			return err
		}
		return awaitACL(ctx, cl, user, rights[len(rights)-1], true)
	})
}

// Disallow takes a right away again, and returns when the broker goes by that.
func (g *Guarded) Disallow(t testing.TB, user string, right ACL) {
	t.Helper()
	principal := "User:" + user
	filter := kmsg.NewDeleteACLsRequestFilter()
	filter.ResourceType, filter.ResourceName, filter.ResourcePatternType = right.Kind, &right.Name, right.pattern()
	filter.Principal, filter.Operation, filter.PermissionType = &principal, right.Operation, kmsg.ACLPermissionTypeAllow
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Filters = append(req.Filters, filter)
	g.admin(t, "taking a right away", func(ctx context.Context, cl *kgo.Client) error {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.Results[0].ErrorCode)
		}
		if err != nil {
			return err
		}
		return awaitACL(ctx, cl, user, right, false)
	})
}

// awaitACL waits until the authorizer knows a right, or knows it no longer: a change goes through the controller.
func awaitACL(ctx context.Context, cl *kgo.Client, user string, right ACL, there bool) error {
	principal := "User:" + user
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourceName, req.ResourcePatternType = right.Kind, &right.Name, right.pattern()
	req.Principal, req.Operation, req.PermissionType = &principal, right.Operation, kmsg.ACLPermissionTypeAllow
	return poll(ctx, func(ctx context.Context) error {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil && there != (len(resp.Resources) > 0) {
			err = errors.New("the change of rights is not in force")
		}
		return err
	})
}

// admin does something as the one who may everything.
func (g *Guarded) admin(t testing.TB, what string, do func(context.Context, *kgo.Client) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	if err := g.with(func(cl *kgo.Client) error { return do(ctx, cl) }); err != nil {
		t.Fatalf("kafkatest: %s: %v", what, err)
	}
}
