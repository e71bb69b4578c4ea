// What JNDI does with a directory. Prints one line a thing that held.
import java.io.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.util.*;
import javax.naming.*;
import javax.naming.directory.*;
import javax.naming.ldap.*;
import javax.net.ssl.*;

public class Client {
	static final String ROOT = "cn=admin,o=nhs", ALEX = "uid=900000000017,ou=People,o=nhs", READER = "cn=reader,ou=Services,o=nhs";

	static void held(String what, boolean good, Object seen) {
		if (!good) throw new AssertionError(what + ": saw " + seen);
		System.out.println("held: " + what);
	}

	interface Deed { void run() throws Exception; }

	static void refused(String what, Class<?> kind, Deed d) throws Exception {
		try {
			d.run();
		} catch (Exception e) {
			held(what, kind.isInstance(e), e);
			return;
		}
		held(what, false, "no refusal");
	}

	static Hashtable<String, Object> to(String url) {
		Hashtable<String, Object> env = new Hashtable<>();
		env.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.ldap.LdapCtxFactory");
		env.put(Context.PROVIDER_URL, url);
		env.put("com.sun.jndi.ldap.connect.timeout", "120000");
		env.put("com.sun.jndi.ldap.read.timeout", "120000");
		env.put("java.naming.ldap.attributes.binary", "userPassword");
		return env;
	}

	static LdapContext bind(String url, String dn, String word) throws Exception {
		Hashtable<String, Object> env = to(url);
		env.put(Context.SECURITY_AUTHENTICATION, "simple");
		env.put(Context.SECURITY_PRINCIPAL, dn);
		env.put(Context.SECURITY_CREDENTIALS, word);
		return new InitialLdapContext(env, null);
	}

	static int count(NamingEnumeration<?> all) throws Exception {
		int n = 0;
		for (; all.hasMore(); n++) all.next();
		return n;
	}

	// args: host:port plain, host:port TLS, PKCS#12 of the client, PKCS#12 of the CA; both have the password "changeit".
	public static void main(String[] args) throws Exception {
		String plain = "ldap://" + args[0], secure = "ldaps://" + args[1];
		refused("wrong password", AuthenticationException.class, () -> bind(plain, ROOT, "no"));
		LdapContext c = bind(plain, ROOT, "correct horse");
		SearchControls sub = new SearchControls(SearchControls.SUBTREE_SCOPE, 0, 0, new String[] {"cn"}, false, false);
		NamingEnumeration<SearchResult> found = c.search("o=nhs", "(&(objectClass=nhsPerson)(cn={0}*))", new Object[] {"alex"}, sub);
		SearchResult r = found.next();
		held("search", r.getNameInNamespace().equals(ALEX) && r.getAttributes().get("CN").get().equals("Alex Example") && !found.hasMore(), r);
		refused("search below nothing", NameNotFoundException.class, () -> c.getAttributes("ou=none,o=nhs"));

		int pages = 0, entries = 0;
		byte[] cookie = null;
		do {
			c.setRequestControls(new Control[] {new PagedResultsControl(3, cookie, Control.CRITICAL)});
			entries += count(c.search("o=nhs", "(objectClass=*)", sub));
			pages++;
			cookie = ((PagedResultsResponseControl) c.getResponseControls()[0]).getCookie();
		} while (cookie != null);
		held("paged results", pages == 3 && entries == 8, pages + " " + entries);
		c.setRequestControls(new Control[] {new SortControl(new SortKey[] {new SortKey("uid", false, "caseIgnoreOrderingMatch")}, Control.CRITICAL)});
		found = c.search("ou=People,o=nhs", "(objectClass=nhsPerson)", new SearchControls(SearchControls.ONELEVEL_SCOPE, 0, 0, new String[] {"uid"}, false, false));
		String first = found.next().getAttributes().get("uid").get().toString();
		held("sort control", first.equals("900000000041") && found.hasMore(), first);
		while (found.hasMore()) found.next();
		c.setRequestControls(null);

		Attributes made = new BasicAttributes(true);
		made.put("objectClass", "device");
		made.put("cn", "java");
		made.put("l", "Leeds");
		String dn = "cn=java,ou=Services,o=nhs";
		c.createSubcontext(dn, made);
		refused("add twice", NameAlreadyBoundException.class, () -> c.createSubcontext(dn, made));
		c.modifyAttributes(dn, new ModificationItem[] {
			new ModificationItem(DirContext.REPLACE_ATTRIBUTE, new BasicAttribute("l", "York")),
			new ModificationItem(DirContext.ADD_ATTRIBUTE, new BasicAttribute("description", "grün"))});
		held("modify", c.getAttributes(dn, new String[] {"description"}).get("description").get().equals("grün"), null);
		SearchControls compare = new SearchControls(SearchControls.OBJECT_SCOPE, 0, 0, new String[0], false, false);
		held("compare", count(c.search(dn, "(l=york)", compare)) == 1 && count(c.search(dn, "(l=leeds)", compare)) == 0, null);
		refused("schema violation", SchemaViolationException.class, () -> c.modifyAttributes(dn, DirContext.ADD_ATTRIBUTE, new BasicAttributes("sn", "x")));
		c.rename(dn, "cn=java2,o=nhs");
		held("move", c.getAttributes("cn=java2,o=nhs").get("cn").get().equals("java2"), null);
		c.destroySubcontext("cn=java2,o=nhs");
		refused("a managed subtree", OperationNotSupportedException.class, () -> c.destroySubcontext(ALEX));
		DirContext schema = c.getSchema("");
		Attributes uid = ((DirContext) schema.lookup("AttributeDefinition/uid")).getAttributes("");
		held("schema", uid.get("EQUALITY").get().equals("caseIgnoreMatch"), uid);
		c.close();
		overTLS(plain, secure, args[2], args[3]);
	}

	static KeyStore open(String file) throws Exception {
		KeyStore k = KeyStore.getInstance("PKCS12");
		try (InputStream in = Files.newInputStream(Path.of(file))) {
			k.load(in, "changeit".toCharArray());
		}
		return k;
	}

	static void overTLS(String plain, String secure, String own, String ca) throws Exception {
		KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
		keys.init(open(own), "changeit".toCharArray());
		TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		trust.init(open(ca));
		SSLContext tls = SSLContext.getInstance("TLS");
		tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
		SSLContext.setDefault(tls);

		LdapContext c = new InitialLdapContext(to(plain), null);
		StartTlsResponse started = (StartTlsResponse) c.extendedOperation(new StartTlsRequest());
		started.negotiate(tls.getSocketFactory());
		c.addToEnvironment(Context.SECURITY_AUTHENTICATION, "simple");
		c.addToEnvironment(Context.SECURITY_PRINCIPAL, READER);
		c.addToEnvironment(Context.SECURITY_CREDENTIALS, "reading");
		held("StartTLS", c.getAttributes(ALEX, new String[] {"uid"}).get("uid").get().equals("900000000017"), null);
		started.close();
		c.close();
		Hashtable<String, Object> env = to(secure);
		env.put(Context.SECURITY_AUTHENTICATION, "EXTERNAL");
		c = new InitialLdapContext(env, null);
		held("SASL EXTERNAL", c.getAttributes(ALEX, new String[] {"cn"}).get("cn").get().equals("Alex Example"), null);
		c.close();
	}
}
