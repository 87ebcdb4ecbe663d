"""Object stores.

gcs_double       a small server that speaks Google Cloud Storage's XML interface
object_servers   emulators of S3, Google Cloud Storage and Azure, started as processes
rough_proxy      a proxy before a store that makes the trouble that a test asks for
s3_server        moto's server, which decides conditional uploads one at a time
"""
