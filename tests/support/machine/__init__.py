"""What test processes share on one machine.

apt            Debian packages that tests need
connect_proxy  a proxy that brings connections for one name to a service under test
http_site      a site of a test's own
installing     one installation after the other
prefix_proxy   a proxy that serves a service under a path
ports          free ports, each given to one test only
waiting        waits for a condition; checks that something is prompt where the machine may be busy
"""
